package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit"
	"github.com/gin-operator/gin-operator/ginkit/auth"
	"github.com/gin-operator/gin-operator/ginkit/config"
	"github.com/gin-operator/gin-operator/ginkit/limits"
	"github.com/gin-operator/gin-operator/ginkit/web"
)

// maxBody is how long the body of a request may be, in bytes: a new user takes a few hundred.
const maxBody = 64 << 10

// service is the kit with what this service has of its own.
type service struct {
	kit      *ginkit.Kit
	settings settings
	id       identity
}

// newService reads the environment and returns a service that only has to be run. It has opened nothing but what it checks tokens with:
// databases are connected to when they are first needed, so that one that is down holds up no start.
func newService(environ []string, signals <-chan os.Signal, logs io.Writer) (*service, error) {
	set, err := config.Read[settings](config.Environment(environ))
	var headers gin.HandlerFunc
	kit, kitErr := ginkit.New(ginkit.WithEnvironment(environ), ginkit.WithVersion(version), ginkit.WithSignals(signals), ginkit.WithLogs(logs),
		ginkit.WithMiddleware(func(c *gin.Context) { headers(c) }))
	if err := errors.Join(err, kitErr); err != nil {
		return nil, err
	}
	s := &service{kit: kit, settings: set, id: identityOf(kit.Settings().Identity)}
	headers = s.id.headers()
	if set.Faults.FailReady {
		err = kit.Health().Add("FAIL_READY", func(context.Context) error { return errors.New("not ready, as FAIL_READY asks") })
	}
	backends, openErr := s.openBackends()
	writers, authErr := s.newWriters()
	if err := errors.Join(err, openErr, authErr); err != nil {
		return nil, err
	}
	if err := s.addRoutes(backends, writers); err != nil {
		return nil, err
	}
	return s, nil
}

// newWriters returns the middleware that lets those through who may write.
func (s *service) newWriters() ([]gin.HandlerFunc, error) {
	set := s.settings.Auth
	switch {
	case set.Mode == authNone:
		s.kit.Log().Warn("everybody may write, as AUTH asks")
		return nil, nil
	case !set.configured():
		return []gin.HandlerFunc{refuseWrites}, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	authenticator, err := auth.New(ctx, auth.Options{KeySet: set.KeySet, Issuer: set.Issuer, Audience: set.Audience, Log: s.kit.Log()})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("AUTH_KEY_SET: %w", err)
	}
	s.kit.OnStop("authentication", func(context.Context) error {
		cancel()
		return nil
	})
	return []gin.HandlerFunc{authenticator.Middleware(), auth.RequireScope("users:write")}, nil
}

// bounds returns what bounds the requests of all routes. Each is in its place by what it costs to refuse.
func (s *service) bounds() ([]gin.HandlerFunc, error) {
	set := s.settings.Limits
	all := []gin.HandlerFunc{limits.Must(limits.Body(maxBody))}
	if set.Rate > 0 {
		rate, err := limits.Rate(set.Rate, max(1, int(set.Rate)))
		if err != nil {
			return nil, fmt.Errorf("RATE_LIMIT: %w", err)
		}
		all = append(all, rate)
	}
	concurrency, err := limits.Concurrency(set.Concurrency)
	if err != nil {
		return nil, fmt.Errorf("MAX_CONCURRENT_REQUESTS: %w", err)
	}
	return append(all, concurrency, s.settings.Faults.middleware), nil
}

// forData returns what the answers with data of users have around them.
func (s *service) forData() ([]gin.HandlerFunc, error) {
	timeout, err := limits.Timeout(s.settings.Limits.Timeout)
	compressed, gzipErr := web.Gzip(web.GzipOptions{})
	secured, securityErr := web.SecurityHeaders(web.SecurityOptions{})
	return []gin.HandlerFunc{timeout, compressed, secured}, errors.Join(err, gzipErr, securityErr)
}

// addRoutes adds the routes that clients call.
func (s *service) addRoutes(b *backends, writers []gin.HandlerFunc) error {
	bounds, err := s.bounds()
	data, dataErr := s.forData()
	if err := errors.Join(err, dataErr); err != nil {
		return err
	}
	if origins := s.settings.Limits.Origins; len(origins) > 0 {
		pages, err := web.CORS(web.CORSOptions{Origins: origins})
		if err != nil {
			return fmt.Errorf("CORS_ORIGINS: %w", err)
		}
		// On the engine, because no route takes the OPTIONS of a preflight.
		s.kit.Engine.Use(pages)
	}
	root := s.kit.Engine.Group("/", bounds...)
	root.GET("/", fixedJSON(s.id))
	root.GET("/openapi.json", fixedDocument(openAPI))

	v1 := root.Group("/api/v1")
	v1.GET("/ping", fixedJSON(pong{"pong", s.id}))
	v1.GET("/version", fixedJSON(versions{s.id, goVersion}))

	load := v1.Group("/load")
	load.GET("/cpu", loadCPU)
	load.GET("/sleep", loadSleep)
	load.GET("/error", loadError)

	people := &userAPI{store: b.users, events: b.events, log: s.kit.Log()}
	private := v1.Group("/", data...)
	private.GET("/dependency", b.dependency.get)
	private.GET("/users", people.list)
	private.GET("/users/:id", people.get)
	private.Group("/users", writers...).POST("", people.create)
	return nil
}
