package limits

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

func TestWhatHandlersDoWithTheirTime(t *testing.T) {
	late := func(then gin.HandlerFunc) gin.HandlerFunc {
		return func(c *gin.Context) {
			<-c.Request.Context().Done()
			then(c)
		}
	}
	for name, tc := range map[string]struct {
		handler gin.HandlerFunc
		status  int
		code    string
	}{
		"answers in time":                      {handler: ok, status: http.StatusOK},
		"answers nothing, in time":             {handler: func(*gin.Context) {}, status: http.StatusOK},
		"fails in time":                        {handler: func(c *gin.Context) { _ = c.Error(errors.New("bad luck")) }, status: http.StatusInternalServerError, code: "internal_error"},
		"returns the error of its context":     {handler: late(func(c *gin.Context) { _ = c.Error(c.Request.Context().Err()) }), status: http.StatusGatewayTimeout, code: "timeout"},
		"returns what a driver makes of it":    {handler: late(func(c *gin.Context) { _ = c.Error(errors.New("canceling statement")) }), status: http.StatusGatewayTimeout, code: "timeout"},
		"just returns":                         {handler: late(func(*gin.Context) {}), status: http.StatusGatewayTimeout, code: "timeout"},
		"writes the problem itself":            {handler: late(func(c *gin.Context) { problem.Write(c, c.Request.Context().Err()) }), status: http.StatusGatewayTimeout, code: "timeout"},
		"leaves another problem":               {handler: late(func(c *gin.Context) { _ = c.Error(problem.New(http.StatusConflict, "taken", "")) }), status: http.StatusConflict, code: "taken"},
		"answers too late":                     {handler: late(func(c *gin.Context) { c.String(http.StatusCreated, `{"code":"made"}`) }), status: http.StatusCreated, code: "made"},
		"answers too late with a status alone": {handler: late(func(c *gin.Context) { c.Status(http.StatusNoContent) }), status: http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var after error
				began := time.Now()
				engine := serve(tc.handler, func(c *gin.Context) {
					c.Next()
					after = c.Request.Context().Err()
				}, problem.Errors(), Must(Timeout(time.Second)))
				answer := get(t, engine)
				if tc.code == "" && answer.Code != tc.status {
					t.Errorf("got %d, want %d", answer.Code, tc.status)
				}
				if tc.code != "" {
					wantProblem(t, answer, tc.status, tc.code, "")
				}
				if took := time.Since(began); took != 0 && took != time.Second {
					t.Errorf("it took %s", took)
				}
				if after != nil {
					t.Errorf("the context of what comes after: %v", after)
				}
			})
		})
	}
}

func TestTimeoutNeedsNoOtherMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wantProblem(t, get(t, serve(func(c *gin.Context) {
			<-c.Request.Context().Done()
			_ = c.Error(c.Request.Context().Err())
		}, Must(Timeout(time.Second)))), http.StatusGatewayTimeout, "timeout", "")
	})
}

func TestAHandlerThatIgnoresItsContextIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := get(t, serve(func(c *gin.Context) {
			<-time.After(time.Minute)
			c.String(http.StatusOK, "at last")
		}, Must(Timeout(time.Second))))
		if answer.Code != http.StatusOK || answer.Body.String() != "at last" {
			t.Errorf("got %d %q, want what the handler wrote", answer.Code, answer.Body)
		}
	})
}

func TestAClientThatGoesAwayIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, goAway := context.WithCancel(t.Context())
		leaver := &crowd{engine: serve(func(c *gin.Context) { <-c.Request.Context().Done() }, Must(Timeout(time.Second)))}
		answer := leaver.send(c, "leaver")
		goAway()
		synctest.Wait()
		if answer.Code == http.StatusGatewayTimeout || answer.Body.Len() > 0 {
			t.Errorf("got %d %q", answer.Code, answer.Body)
		}
	})
}

func TestAnEarlierDeadlineStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		wantProblem(t, get(t, serve(func(c *gin.Context) { <-c.Request.Context().Done() }, Must(Timeout(time.Second)), Must(Timeout(time.Minute)))),
			http.StatusGatewayTimeout, "timeout", "")
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s, want 1s", took)
		}
	})
}

func TestWhatInnerMiddlewaresAddToTheContextStays(t *testing.T) {
	type user struct{}
	var got any
	get(t, serve(func(c *gin.Context) {
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), user{}, "ann"))
	}, func(c *gin.Context) {
		c.Next()
		got = c.Request.Context().Value(user{})
	}, Must(Timeout(time.Second))))
	if got != "ann" {
		t.Errorf("the log sees the user %v, want ann", got)
	}
}
