package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// config is what the environment asks for. Where on is false, the rest is empty.
type config struct {
	on bool

	endpoint    string
	header      http.Header
	timeout     time.Duration
	compress    bool
	tls         *tls.Config
	sampler     sdktrace.Sampler
	attributes  []attribute.KeyValue
	valueLength int

	queue, batch         int
	delay, exportTimeout time.Duration
}

// Names of variables that more than one function reads.
const (
	endpointVariable       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpointVariable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
)

// environment reads typed values and collects what is wrong with them. An empty variable counts as unset, as OpenTelemetry has it.
type environment struct {
	lookup func(string) (string, bool)
	errs   []error
}

func readConfig(options Options) (config, error) {
	env := &environment{lookup: options.Lookup}
	disabled := value(env, "OTEL_SDK_DISABLED", false, "true or false", parseBool)
	exporter := value(env, "OTEL_TRACES_EXPORTER", "otlp", "otlp or none", oneOf("otlp", "none"))
	if len(env.errs) > 0 {
		return config{}, errors.Join(env.errs...)
	}
	if disabled || exporter == "none" || env.text(tracesEndpointVariable) == "" && env.text(endpointVariable) == "" {
		return config{}, nil
	}
	cfg := config{
		on:          true,
		endpoint:    env.endpoint(),
		header:      env.header(env.either("HEADERS")),
		timeout:     value(env, env.either("TIMEOUT"), 10*time.Second, wantMilliseconds, parseMilliseconds),
		compress:    value(env, env.either("COMPRESSION"), "none", "gzip or none", oneOf("gzip", "none")) == "gzip",
		sampler:     env.sampler(),
		attributes:  env.attributes(options),
		queue:       value(env, "OTEL_BSP_MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize, wantCount, parseCount),
		batch:       value(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize, wantCount, parseCount),
		delay:       value(env, "OTEL_BSP_SCHEDULE_DELAY", sdktrace.DefaultScheduleDelay*time.Millisecond, wantMilliseconds, parseMilliseconds),
		valueLength: value(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", longestValue, wantCount, parseCount),

		exportTimeout: value(env, "OTEL_BSP_EXPORT_TIMEOUT", sdktrace.DefaultExportTimeout*time.Millisecond, wantMilliseconds, parseMilliseconds),
	}
	cfg.valueLength = value(env, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", cfg.valueLength, wantCount, parseCount)
	cfg.batch = min(cfg.batch, cfg.queue)
	value(env, env.either("PROTOCOL"), "http/protobuf", "http/protobuf, the only one there is here (no gRPC): a collector takes it on port 4318", oneOf("http/protobuf"))
	cfg.tls = env.tls()
	return cfg, errors.Join(env.errs...)
}

// longestValue is how many characters an attribute of a span has at most. OpenTelemetry has no limit, and then a long value, times the
// length of the queue, is a lot of memory while the collector is down.
const longestValue = 4096

// value returns what a variable says, or the fallback where it is unset or wrong. wants completes "is not …".
func value[T any](env *environment, name string, fallback T, wants string, parse func(string) (T, bool)) T {
	text := env.text(name)
	if text == "" {
		return fallback
	}
	parsed, ok := parse(text)
	if !ok {
		env.wrong(name, "%q is not %s", text, wants)
		return fallback
	}
	return parsed
}

func (env *environment) text(name string) string {
	text, _ := env.lookup(name)
	return strings.TrimSpace(text)
}

func (env *environment) wrong(name, format string, args ...any) {
	env.errs = append(env.errs, fmt.Errorf("%s: %w", name, fmt.Errorf(format, args...)))
}

// either returns the name of the variable that is for traces where it is set, and that for all signals otherwise.
func (env *environment) either(suffix string) string {
	if name := "OTEL_EXPORTER_OTLP_TRACES_" + suffix; env.text(name) != "" {
		return name
	}
	return "OTEL_EXPORTER_OTLP_" + suffix
}

func parseBool(text string) (bool, bool) {
	switch strings.ToLower(text) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

func oneOf(names ...string) func(string) (string, bool) {
	return func(text string) (string, bool) {
		for _, name := range names {
			if text == name {
				return name, true
			}
		}
		return "", false
	}
}

const (
	wantMilliseconds = "a number of milliseconds from 1 to 3600000"
	wantCount        = "a whole number from 1 to 1000000"
)

func parseMilliseconds(text string) (time.Duration, bool) {
	number, err := strconv.Atoi(text)
	return time.Duration(number) * time.Millisecond, err == nil && number >= 1 && number <= 3_600_000
}

func parseCount(text string) (int, bool) {
	number, err := strconv.Atoi(text)
	return number, err == nil && number >= 1 && number <= 1_000_000
}

// endpoint returns the URL that takes spans: that for traces as it is, and that for all signals with the path that the specification
// of the exporter gives traces.
func (env *environment) endpoint() string {
	name, suffix := endpointVariable, "/v1/traces"
	if env.text(tracesEndpointVariable) != "" {
		name, suffix = tracesEndpointVariable, ""
	}
	text := env.text(name)
	to, err := url.Parse(text)
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" {
		if strings.Contains(text, "@") {
			text = "what may hold a password"
		}
		env.wrong(name, "%q is not a URL such as http://collector:4318", text)
		return ""
	}
	to.Path = strings.TrimSuffix(to.Path, "/") + suffix
	if to.Path == "" {
		to.Path = "/"
	}
	to.RawPath, to.Fragment = "", ""
	return to.String()
}

// header reads name=value,name=value with percent-encoded values. Its errors never show a value, which may be a key.
func (env *environment) header(name string) http.Header {
	header := http.Header{}
	for key, text := range env.pairs(name, false) {
		if !isToken(key) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			env.wrong(name, "the entry %q is not a header", key)
			continue
		}
		header.Set(key, text)
	}
	return header
}

// isToken is the rule of RFC 9110, section 5.6.2, for the name of a header.
func isToken(text string) bool {
	for _, r := range text {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) {
			return false
		}
	}
	return text != ""
}

// pairs reads key=value,key=value with percent-encoding.
func (env *environment) pairs(name string, encodedKeys bool) map[string]string {
	pairs := map[string]string{}
	position := 0
	for entry := range strings.SplitSeq(env.text(name), ",") {
		position++
		if strings.TrimSpace(entry) == "" {
			continue
		}
		key, text, found := strings.Cut(entry, "=")
		key = strings.TrimSpace(key)
		text, err := url.PathUnescape(strings.TrimSpace(text))
		if encodedKeys && err == nil {
			key, err = url.PathUnescape(key)
		}
		if !found || key == "" || err != nil {
			env.wrong(name, "entry %d is not key=value with percent-encoding, such as key=value,other=two%%20words", position)
			continue
		}
		pairs[key] = text
	}
	return pairs
}

func (env *environment) sampler() sdktrace.Sampler {
	const name, argument = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	ratio := func() sdktrace.Sampler {
		return sdktrace.TraceIDRatioBased(value(env, argument, 1, "a number from 0 to 1, such as 0.1", func(text string) (float64, bool) {
			number, err := strconv.ParseFloat(text, 64)
			return number, err == nil && number >= 0 && number <= 1
		}))
	}
	switch env.text(name) {
	case "", "parentbased_always_on":
		return sdktrace.ParentBased(sdktrace.AlwaysSample())
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(ratio())
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return ratio()
	}
	env.wrong(name, "%q is not always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio", env.text(name))
	return nil
}

// attributes says what the spans are of. Later ones win: what the program and the pod know, then what the environment of OpenTelemetry
// says.
func (env *environment) attributes(options Options) []attribute.KeyValue {
	set := map[attribute.Key]string{
		semconv.TelemetrySDKNameKey:     "opentelemetry",
		semconv.TelemetrySDKLanguageKey: semconv.TelemetrySDKLanguageGo.Value.AsString(),
		semconv.TelemetrySDKVersionKey:  sdk.Version(),
		semconv.ServiceNameKey:          first(options.Service, env.text("GIN_SERVICE_NAME"), "unknown_service"),
		semconv.ServiceVersionKey:       options.Version,
		semconv.ServiceInstanceIDKey:    first(options.Instance, env.text("POD_NAME")),
		semconv.K8SPodNameKey:           env.text("POD_NAME"),
		semconv.K8SNamespaceNameKey:     env.text("POD_NAMESPACE"),
		"gin_service.color":             env.text("GIN_SERVICE_COLOR"),
		"gin_service.revision":          env.text("GIN_SERVICE_REVISION"),
	}
	if set[semconv.ServiceInstanceIDKey] == "" {
		if host, err := os.Hostname(); err == nil {
			set[semconv.ServiceInstanceIDKey] = host
		}
	}
	for key, text := range env.pairs("OTEL_RESOURCE_ATTRIBUTES", true) {
		set[attribute.Key(key)] = text
	}
	if name := env.text("OTEL_SERVICE_NAME"); name != "" {
		set[semconv.ServiceNameKey] = name
	}
	attributes := make([]attribute.KeyValue, 0, len(set))
	for key, text := range set {
		if text != "" {
			attributes = append(attributes, key.String(text))
		}
	}
	return attributes
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// tls reads the files that a collector with an authority of its own, or one that asks for a certificate, needs.
func (env *environment) tls() *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if name := env.either("CERTIFICATE"); env.text(name) != "" {
		cfg.RootCAs = x509.NewCertPool()
		if text, err := os.ReadFile(env.text(name)); err != nil {
			env.wrong(name, "reading the certificates of the collector's authority: %w", err)
		} else if !cfg.RootCAs.AppendCertsFromPEM(text) {
			env.wrong(name, "%q is not a file with certificates in PEM", env.text(name))
		}
	}
	certificate, key := env.either("CLIENT_CERTIFICATE"), env.either("CLIENT_KEY")
	if env.text(certificate) == "" && env.text(key) == "" {
		return cfg
	}
	pair, err := tls.LoadX509KeyPair(env.text(certificate), env.text(key))
	if err != nil {
		env.wrong(certificate, "is not, with %s, a certificate and its key in PEM: %w", key, err)
		return cfg
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg
}
