package auth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Claims are what a token says, after it was found to be good.
type Claims struct {
	// Subject is whom the token is about, the claim sub. It is empty where the issuer names nobody.
	Subject string
	// Issuer is Options.Issuer, the claim iss.
	Issuer string
	// Scopes are what the bearer may do: the claim scope, or scp where there is no scope. Either may be a text with spaces or a list.
	// Anything else counts as none.
	Scopes []string
	// Expiry is when the token ends, the claim exp, without the leeway.
	Expiry time.Time

	raw json.RawMessage
}

func newClaims(registered *jwt.Claims, raw json.RawMessage) Claims {
	return Claims{Subject: registered.Subject, Issuer: registered.Issuer, Scopes: scopes(raw), Expiry: registered.Expiry.Time(), raw: raw}
}

// Decode reads all claims, those of the issuer's own invention too, as json.Unmarshal does: without regard to the case of their names.
// The error is that of json.Unmarshal.
func (c Claims) Decode(into any) error {
	if len(c.raw) == 0 {
		return errors.New("auth: these claims are of no token")
	}
	return json.Unmarshal(c.raw, into)
}

// HasScope reports whether the bearer has a scope, by its exact name.
func (c Claims) HasScope(scope string) bool {
	return scope != "" && slices.Contains(c.Scopes, scope)
}

// scopes errs on the side of too few. It reads a map, because a struct would also be filled from "Scope" or "SCOPE".
func scopes(raw json.RawMessage) []string {
	var claims map[string]json.RawMessage
	if json.Unmarshal(raw, &claims) != nil {
		return nil
	}
	value, found := claims["scope"]
	if !found {
		value = claims["scp"]
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' })
	}
	var list []string
	if json.Unmarshal(value, &list) != nil {
		return nil
	}
	return list
}

// granted is the key, and the value, that a request has in its gin.Context once its token is good.
type granted struct{}

type grant struct {
	claims Claims
	realm  string
}

func grantOf(c *gin.Context) (*grant, bool) {
	value, _ := c.Get(granted{})
	found, ok := value.(*grant)
	return found, ok
}

// ClaimsFrom returns the claims of a request, and false where Middleware did not let it in.
func ClaimsFrom(c *gin.Context) (Claims, bool) {
	if found, ok := grantOf(c); ok {
		return found.claims, true
	}
	return Claims{}, false
}
