package tracing_test

import (
	"maps"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/gin-operator/gin-operator/ginkit/tracing"
)

func TestTracingIsOff(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := map[string]map[string]string{
		"without an endpoint":                   nil,
		"with an empty one":                     {endpoint: " "},
		"without one, whatever else is wrong":   {"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
		"where the SDK is disabled":             {endpoint: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "True"},
		"where there is no exporter":            {endpoint: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
		"also with an endpoint of another kind": {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"},
	}
	for name, env := range tests {
		t.Run(name, func(t *testing.T) {
			tr, err := tracing.New(tracing.Options{Local: true, Lookup: lookupIn(env)})
			if err != nil {
				t.Fatal(err)
			}
			_, span := tr.Provider().Tracer("test").Start(t.Context(), "test")
			if tr.Enabled() || tr.Middleware() != nil || span.IsRecording() || tr.Shutdown(t.Context()) != nil {
				t.Errorf("it is on: Enabled is %t", tr.Enabled())
			}
		})
	}
	var none *tracing.Tracing
	if none.Enabled() || none.Middleware() != nil || none.Transport(nil) == nil || none.Shutdown(t.Context()) != nil {
		t.Error("a nil Tracing is not off")
	}
}

func TestWrongVariablesAreNamed(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := map[string]struct {
		env  map[string]string
		want string
	}{
		"an endpoint without a scheme": {
			map[string]string{endpoint: "collector:4318"},
			`OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318" is not a URL such as http://collector:4318`,
		},
		"an endpoint with a password": {
			map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "grpc://" + "me:s3cret@collector"},
			`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "what may hold a password" is not a URL such as http://collector:4318`,
		},
		"gRPC": {
			map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			`OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not http/protobuf, the only one there is here (no gRPC): a collector takes it on port 4318`,
		},
		"JSON for traces": {
			map[string]string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
			`OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json" is not http/protobuf, the only one there is here (no gRPC): a collector takes it on port 4318`,
		},
		"another exporter":     {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, `OTEL_TRACES_EXPORTER: "zipkin" is not otlp or none`},
		"a switch":             {map[string]string{"OTEL_SDK_DISABLED": "yes"}, `OTEL_SDK_DISABLED: "yes" is not true or false`},
		"a time with a unit":   {map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, `OTEL_EXPORTER_OTLP_TIMEOUT: "10s" is not a number of milliseconds from 1 to 3600000`},
		"an endless time":      {map[string]string{"OTEL_BSP_EXPORT_TIMEOUT": "0"}, `OTEL_BSP_EXPORT_TIMEOUT: "0" is not a number of milliseconds from 1 to 3600000`},
		"a queue of nothing":   {map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, `OTEL_BSP_MAX_QUEUE_SIZE: "0" is not a whole number from 1 to 1000000`},
		"a compression":        {map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, `OTEL_EXPORTER_OTLP_COMPRESSION: "zstd" is not gzip or none`},
		"a ratio in percent":   {map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10"}, `OTEL_TRACES_SAMPLER_ARG: "10" is not a number from 0 to 1, such as 0.1`},
		"a ratio of no number": {map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "NaN"}, `OTEL_TRACES_SAMPLER_ARG: "NaN" is not a number from 0 to 1, such as 0.1`},
		"an unknown sampler": {
			map[string]string{"OTEL_TRACES_SAMPLER": "jaeger_remote"},
			`OTEL_TRACES_SAMPLER: "jaeger_remote" is not always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio`,
		},
		"attributes without values": {
			map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "a=b,team"},
			"OTEL_RESOURCE_ATTRIBUTES: entry 2 is not key=value with percent-encoding, such as key=value,other=two%20words",
		},
		"a header that is none, of which the key stays secret": {
			map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "a b=s3cret"}, `OTEL_EXPORTER_OTLP_HEADERS: the entry "a b" is not a header`,
		},
		"a header that would be two":   {map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "key=s3cret%0d%0aHost: x"}, `OTEL_EXPORTER_OTLP_HEADERS: the entry "key" is not a header`},
		"an authority that is no file": {map[string]string{"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem"}, "OTEL_EXPORTER_OTLP_CERTIFICATE: reading the certificates of the collector's authority"},
		"a file without certificates":  {map[string]string{"OTEL_EXPORTER_OTLP_CERTIFICATE": "environment_test.go"}, `OTEL_EXPORTER_OTLP_CERTIFICATE: "environment_test.go" is not a file with certificates in PEM`},
		"a certificate without a key":  {map[string]string{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "environment_test.go"}, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: is not, with OTEL_EXPORTER_OTLP_CLIENT_KEY, a certificate and its key in PEM"},
		"two at once": {
			map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "x", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "y"},
			"OTEL_BSP_SCHEDULE_DELAY: \"x\" is not a number of milliseconds from 1 to 3600000\nOTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: \"y\" is not a whole number from 1 to 1000000",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.env[endpoint] == "" {
				tc.env[endpoint] = "http://127.0.0.1:1"
			}
			tr, err := tracing.New(tracing.Options{Local: true, Lookup: lookupIn(tc.env)})
			if err == nil || tr != nil {
				t.Fatalf("there is no error, want %s", tc.want)
			}
			if got := err.Error(); !strings.HasPrefix(got, "configuring tracing: "+tc.want) || strings.Contains(got, "s3cret") {
				t.Errorf("error is\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestSamplers(t *testing.T) {
	const sampledParent, otherParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	tests := map[string]struct {
		env    []string
		parent string
		want   int
	}{
		"the default takes all":               {nil, "", 1},
		"the default follows a parent":        {nil, otherParent, 0},
		"always_on doesn't":                   {[]string{"OTEL_TRACES_SAMPLER", "always_on"}, otherParent, 1},
		"always_off takes none":               {[]string{"OTEL_TRACES_SAMPLER", "always_off"}, sampledParent, 0},
		"parentbased_always_off, no parent":   {[]string{"OTEL_TRACES_SAMPLER", "parentbased_always_off"}, "", 0},
		"parentbased_always_off, with one":    {[]string{"OTEL_TRACES_SAMPLER", "parentbased_always_off"}, sampledParent, 1},
		"traceidratio is 1 by default":        {[]string{"OTEL_TRACES_SAMPLER", "traceidratio"}, "", 1},
		"traceidratio of 0":                   {[]string{"OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0"}, sampledParent, 0},
		"parentbased_traceidratio, no parent": {[]string{"OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0"}, "", 0},
		"parentbased_traceidratio, with one":  {[]string{"OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0"}, sampledParent, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, nil)
			tr, _ := start(t, to.URL, tc.env...)
			call(service(tr.Middleware()), "/users/1", "Traceparent", tc.parent)
			flush(t, tr)
			if got := len(to.received()); got != tc.want {
				t.Errorf("%d spans, want %d", got, tc.want)
			}
		})
	}
}

func TestNameOfTheService(t *testing.T) {
	tests := map[string]struct {
		option string
		env    []string
		want   string
	}{
		"what the program says":                {"cart", []string{"GIN_SERVICE_NAME", "shop-eu"}, "cart"},
		"the GinService":                       {"", []string{"GIN_SERVICE_NAME", "shop-eu"}, "shop-eu"},
		"the attributes of the resource":       {"cart", []string{"OTEL_RESOURCE_ATTRIBUTES", "service.name=till"}, "till"},
		"the variable for it goes before them": {"cart", []string{"OTEL_RESOURCE_ATTRIBUTES", "service.name=till", "OTEL_SERVICE_NAME", "desk"}, "desk"},
		"nothing":                              {"", nil, "unknown_service"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, nil)
			env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": to.URL, "POD_NAME": "pod-1"}
			maps.Insert(env, pairs(tc.env))
			tr, err := tracing.New(tracing.Options{Service: tc.option, Local: true, Lookup: lookupIn(env)})
			if err != nil {
				t.Fatal(err)
			}
			_, span := tr.Provider().Tracer("test").Start(t.Context(), "work", trace.WithSpanKind(trace.SpanKindInternal))
			span.End()
			flush(t, tr)
			if got := to.received()[0].resource; got["service.name"] != tc.want || got["service.instance.id"] != "pod-1" {
				t.Errorf("resource is %v, want service.name %q and service.instance.id pod-1", got, tc.want)
			}
		})
	}
}
