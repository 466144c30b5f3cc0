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
	s.addRoutes(backends, writers)
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

// addRoutes adds the routes that clients call.
func (s *service) addRoutes(b *backends, writers []gin.HandlerFunc) {
	root := s.kit.Engine.Group("/", limits.Must(limits.Body(maxBody)), s.settings.Faults.middleware)
	root.GET("/", fixedJSON(s.id))
	root.GET("/openapi.json", fixedDocument(openAPI))

	v1 := root.Group("/api/v1")
	v1.GET("/ping", fixedJSON(pong{"pong", s.id}))
	v1.GET("/version", fixedJSON(versions{s.id, goVersion}))
	v1.GET("/dependency", b.dependency.get)

	load := v1.Group("/load")
	load.GET("/cpu", loadCPU)
	load.GET("/sleep", loadSleep)
	load.GET("/error", loadError)

	people := &userAPI{store: b.users, events: b.events, log: s.kit.Log()}
	v1.GET("/users", people.list)
	v1.GET("/users/:id", people.get)
	v1.Group("/users", writers...).POST("", people.create)
}
