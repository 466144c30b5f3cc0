package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

// Middleware lets in requests with a good token; ClaimsFrom has what the token says. All others are answered with status 401, the code
// "unauthenticated" and the header WWW-Authenticate as RFC 6750, section 3, has it.
func (a *Authenticator) Middleware() gin.HandlerFunc {
	return func(c *gin.Context) {
		claims, err := a.authenticate(c.Request.Context(), c.Request.Header.Values("Authorization"))
		if err != nil {
			a.refuse(c, err)
			return
		}
		c.Set(granted{}, &grant{claims: claims, realm: a.realm})
	}
}

// refuse tells a client what it can act on, which is whether to bring a token, or a new one. The rest is in the log, at a level that is not on where
// strangers could fill it.
func (a *Authenticator) refuse(c *gin.Context, err error) {
	message, code := "the bearer token is not valid", "invalid_token"
	switch {
	case errors.Is(err, errNoToken):
		// RFC 6750, section 3.1: no error where nothing was tried.
		message, code = "this needs a bearer token in the header Authorization", ""
	case errors.Is(err, errExpired):
		message = "the bearer token has expired"
	}
	challenge(c, a.realm, code, message, "")
	a.log.DebugContext(c.Request.Context(), "a token is refused", "error", err.Error(), "requestId", requestid.Get(c))
	problem.Write(c, problem.New(http.StatusUnauthorized, "unauthenticated", message).WithCause(err))
}

// RequireScope lets in requests whose token has a scope. It belongs behind Middleware. Others are answered with status 403 and the code
// "insufficient_scope". Several scopes are needed where several of it stand in a row. A name that no scope can have, such as "", lets
// nobody in.
func RequireScope(scope string) gin.HandlerFunc {
	return func(c *gin.Context) {
		found, ok := grantOf(c)
		if !ok {
			// That is a fault of the service, which must not look like one of the client.
			problem.Write(c, errors.New("auth: RequireScope needs Authenticator.Middleware before it"))
			return
		}
		if isScope(scope) && found.claims.HasScope(scope) {
			return
		}
		message := "the bearer token lacks the scope that this needs"
		if isScope(scope) {
			message = fmt.Sprintf("this needs the scope %s, which the bearer token does not have", scope)
		}
		challenge(c, found.realm, "insufficient_scope", message, scope)
		problem.Write(c, problem.New(http.StatusForbidden, "insufficient_scope", message))
	}
}

// challenge sets WWW-Authenticate. Everything in it is printable ASCII without quotes and backslashes.
func challenge(c *gin.Context, realm, code, description, scope string) {
	value := `Bearer realm="` + realm + `"`
	if code != "" {
		value += `, error="` + code + `", error_description="` + description + `"`
	}
	if isScope(scope) {
		value += `, scope="` + scope + `"`
	}
	c.Header("WWW-Authenticate", value)
}

// isScope reports whether RFC 6749, section 3.3, lets a scope have this name.
func isScope(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}
