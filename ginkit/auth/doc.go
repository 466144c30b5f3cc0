// Package auth lets in only requests that carry a token of an issuer that the service trusts: a JSON Web Token (RFC 7519), signed with
// a key of the issuer's key set (RFC 7517), in the header Authorization (RFC 6750).
//
//	authenticator, err := auth.New(ctx, auth.Options{
//		Issuer:   "https://login.example.com",
//		Audience: []string{"orders"},
//		KeySet:   "https://login.example.com/.well-known/jwks.json",
//	})
//	…
//	api := engine.Group("/api", authenticator.Middleware())
//	api.POST("/users", auth.RequireScope("users:write"), createUser)
//
// A service that can't check tokens does not start: New refuses a key set that is missing, can't be read, or has no key that could
// verify anything. Later on the last good set is kept whatever happens to its source, and followed when it changes.
//
// Invariants: no handler behind Middleware runs without a token that was signed by a key of the set, with an algorithm that Options
// allow, by the issuer, for this audience, and that is valid now. No key comes from a token. A client can't make the service read the
// key set more than once in ten seconds. Why a token was refused is in the log, at level DEBUG, not in the answer.
package auth
