package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// largestToken is how many bytes of a token are looked at.
const largestToken = 8 << 10

var (
	errNoToken = errors.New("there is no bearer token")
	errExpired = errors.New("the token has expired")
)

// authenticate returns the claims of the token in a request's headers Authorization.
func (a *Authenticator) authenticate(ctx context.Context, authorization []string) (Claims, error) {
	text, err := bearer(authorization)
	if err != nil {
		return Claims{}, err
	}
	token, err := jwt.ParseSigned(text, a.algorithms)
	if err != nil {
		return Claims{}, err
	}
	if len(token.Headers) != 1 {
		return Claims{}, fmt.Errorf("the token has %d signatures", len(token.Headers))
	}
	header := token.Headers[0]
	if header.JSONWebKey != nil {
		return Claims{}, errors.New("the token brings a key of its own")
	}
	if _, found := header.ExtraHeaders["crit"]; found {
		// There is no extension that we know, and RFC 7797 forbids its own in a token.
		return Claims{}, errors.New("the token needs an extension")
	}
	keys, err := a.keysFor(ctx, token, header)
	if err != nil {
		return Claims{}, err
	}
	for _, key := range keys {
		var registered jwt.Claims
		var raw json.RawMessage
		if err = token.Claims(key.key, &registered, &raw); err != nil {
			continue
		}
		if err := a.check(&registered); err != nil {
			return Claims{}, err
		}
		return newClaims(&registered, raw), nil
	}
	return Claims{}, err
}

// keysFor returns the keys that may have signed a token, at least one.
func (a *Authenticator) keysFor(ctx context.Context, token *jwt.JSONWebToken, header jose.Header) ([]publicKey, error) {
	algorithm := jose.SignatureAlgorithm(header.Algorithm)
	keys := a.keys.find(header.KeyID, algorithm)
	if len(keys) > 0 {
		return keys, nil
	}
	unknown := fmt.Errorf("no key %q for %s in the key set", shorten(header.KeyID), algorithm)
	if header.KeyID == "" || a.keys.current.Load().has(header.KeyID) {
		return nil, unknown
	}
	// The tokens that most often name a key that is gone are old ones. They are refused without asking for new keys.
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return nil, err
	}
	if err := a.check(&claims); err != nil {
		// Nobody vouches for these claims, so the client is not told what is in them.
		return nil, fmt.Errorf("%w; unsigned: %v", unknown, err) //nolint:errorlint // not to be found by errors.Is
	}
	if a.keys.renew(ctx) {
		keys = a.keys.find(header.KeyID, algorithm)
	}
	if len(keys) == 0 {
		return nil, unknown
	}
	return keys, nil
}

// check holds claims against what this service expects.
func (a *Authenticator) check(claims *jwt.Claims) error {
	now := a.now()
	if claims.Expiry == nil {
		return errors.New("the token never expires")
	}
	err := claims.ValidateWithLeeway(jwt.Expected{Issuer: a.issuer, AnyAudience: a.audience, Time: now}, a.leeway)
	// RFC 7519, section 4.1.4: not on exp either, which the library lets pass.
	if errors.Is(err, jwt.ErrExpired) || (err == nil && !now.Before(claims.Expiry.Time().Add(a.leeway))) {
		return errExpired
	}
	return err
}

// bearer returns the token of the one header Authorization. It is strict: two readers of a request must see the same token in it.
func bearer(authorization []string) (string, error) {
	if len(authorization) == 0 {
		return "", errNoToken
	}
	if len(authorization) > 1 {
		return "", errors.New("there are several headers Authorization")
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	token = strings.Trim(token, " ")
	if len(token) > largestToken {
		return "", fmt.Errorf("the token has %d bytes", len(token))
	}
	// The decoder of the library passes over line breaks.
	if strings.ContainsFunc(token, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_' && r != '.'
	}) {
		return "", errors.New("the token has characters that none has")
	}
	return token, nil
}
