package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit"
)

func TestEveryServerGivesTheSameAnswer(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	s := settings{path: "/api/v1/ping", body: []byte(`{"message":"pong"}`)}
	kit, err := newKit(s, ginkit.WithEnvironment(nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]http.Handler{"gin": bareGin(s), "servemux": serveMux(s), "ginkit": kit.Engine} {
		t.Run(name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, s.path, http.NoBody))
			if recorder.Code != http.StatusOK || recorder.Body.String() != string(s.body) {
				t.Errorf("answers %d with %q", recorder.Code, recorder.Body)
			}
			if got := recorder.Header().Get("Content-Type"); got != contentType {
				t.Errorf("answers with type %q", got)
			}
		})
	}
}
