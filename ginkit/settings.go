package ginkit

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/gin-operator/gin-operator/ginkit/config"
	"github.com/gin-operator/gin-operator/ginkit/logs"
)

// Settings are what a Kit reads from the environment. The operator sets the first two groups in each pod; an empty variable counts as unset.
type Settings struct {
	// Port is where the service listens. 0 is any free port, which the log names.
	Port int `env:"PORT" default:"8080" min:"0" max:"65535" help:"the port of the service"`
	// MetricsPort is where /metrics and /health are. The default, and the number of Port, put them on the port of the service.
	MetricsPort *int `env:"METRICS_PORT" min:"0" max:"65535" help:"the port of /metrics and /health; default PORT"`
	// Shutdown is the time from SIGTERM to SIGKILL.
	Shutdown Seconds `env:"GIN_SERVICE_SHUTDOWN_SECONDS" default:"30" help:"seconds from SIGTERM to SIGKILL"`
	// Drain is how long requests are still taken after SIGTERM. The default is 5 s, or a third of Shutdown where that is less.
	Drain *Seconds `env:"DRAIN_SECONDS" help:"seconds in which requests are still taken after SIGTERM; default 5, or a third of the time to stop"`

	// Identity says which of all pods this is.
	Identity Identity

	// LogLevel is the least level that is logged. Kit.SetLogLevel changes it while the service runs.
	LogLevel slog.Level `env:"LOG_LEVEL" default:"info" help:"debug, info, warn or error"`
	// LogRequests says which requests are logged.
	LogRequests logs.Mode `env:"LOG_REQUESTS" default:"problems" help:"problems, all or none"`
	// SlowRequest is what takes longer is a problem.
	SlowRequest time.Duration `env:"SLOW_REQUEST" default:"1s" min:"0s" max:"1h" help:"a request that takes longer is a problem; 0s takes none for one"`
}

// Identity says which of all pods this is. Outside of a cluster its fields are "none", and the pod is the name of the host.
type Identity struct {
	// Version is APP_VERSION, or what the program was built as, from WithVersion.
	Version string `env:"APP_VERSION" help:"the version of the program"`
	// Service is the name of the GinService.
	Service string `env:"GIN_SERVICE_NAME" default:"none" help:"the name of the GinService"`
	// Color is blue or green.
	Color string `env:"GIN_SERVICE_COLOR" default:"none" help:"blue or green"`
	// Revision is the hash of what the pod runs.
	Revision string `env:"GIN_SERVICE_REVISION" default:"none" help:"the revision of the GinService"`
	// Pod is the name of the pod.
	Pod string `env:"POD_NAME" help:"the name of the pod; default the name of the host"`
	// Namespace is where the pod is.
	Namespace string `env:"POD_NAMESPACE" default:"none" help:"the namespace of the pod"`
}

// Seconds is a time that the environment gives as a number of seconds, as Kubernetes does: 30 or 2.5.
type Seconds time.Duration

// mostSeconds is a day: what is longer is a mistake.
const mostSeconds = 86400

// UnmarshalText reads a number of seconds from 0 to 86400.
func (s *Seconds) UnmarshalText(text []byte) error {
	number, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(number) || number < 0 || number > mostSeconds {
		return fmt.Errorf("must be a number of seconds from 0 to %d", mostSeconds)
	}
	*s = Seconds(number * float64(time.Second))
	return nil
}

// Validate refuses a drain that is longer than all the time there is.
func (s *Settings) Validate() error {
	shutdown := time.Duration(s.Shutdown)
	if shutdown < time.Second {
		return fmt.Errorf("GIN_SERVICE_SHUTDOWN_SECONDS: %s is less than the second that stopping takes at least", shutdown)
	}
	if drain := s.DrainTime(); drain >= shutdown {
		return fmt.Errorf("DRAIN_SECONDS: %s leaves no time for requests in flight: it must be less than GIN_SERVICE_SHUTDOWN_SECONDS, %s", drain, shutdown)
	}
	return nil
}

// DrainTime is how long requests are still taken after SIGTERM.
func (s *Settings) DrainTime() time.Duration {
	if s.Drain != nil {
		return time.Duration(*s.Drain)
	}
	return min(5*time.Second, time.Duration(s.Shutdown)/3)
}

// readSettings reads the environment. The error names each variable that is wrong, and what it should be.
func readSettings(environ []string, version string) (Settings, error) {
	settings, err := config.Read[Settings](config.Environment(environ))
	if err != nil {
		return settings, err
	}
	if settings.MetricsPort == nil {
		settings.MetricsPort = &settings.Port
	}
	if settings.Identity.Version == "" {
		settings.Identity.Version = version
	}
	if settings.Identity.Pod == "" {
		if settings.Identity.Pod, err = os.Hostname(); err != nil {
			settings.Identity.Pod = "unknown"
		}
	}
	return settings, nil
}
