package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// shortestRSA is what RFC 7518, sections 3.3 and 3.5, ask of RSA keys, in bits.
const shortestRSA = 2048

// publicKey is one that can verify signatures.
type publicKey struct {
	id         string
	key        any
	algorithms []jose.SignatureAlgorithm
}

// keySet is what a JSON Web Key Set has for us.
type keySet struct {
	keys []publicKey
	// skipped says of each key that is left out why.
	skipped []string
}

// find returns the keys that may have signed a token. A token that names no key has a single one, or none: it must not be tried
// against all there are.
func (s *keySet) find(id string, algorithm jose.SignatureAlgorithm) []publicKey {
	var found []publicKey
	for _, key := range s.keys {
		if (id == "" || key.id == id) && slices.Contains(key.algorithms, algorithm) {
			found = append(found, key)
		}
	}
	if id == "" && len(found) != 1 {
		return nil
	}
	return found
}

// has reports whether the set has a key of that name, for whatever algorithm.
func (s *keySet) has(id string) bool {
	return slices.ContainsFunc(s.keys, func(key publicKey) bool { return key.id == id })
}

// parseKeySet reads a JSON Web Key Set. As RFC 7517, section 5, wants, keys that are of no use are left out one by one; but a key that
// should be nobody's but the issuer's spoils the set.
func parseKeySet(text []byte, allowed []jose.SignatureAlgorithm) (*keySet, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("it is empty")
	}
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("it is not a JSON Web Key Set: %w", err)
	}
	if len(document.Keys) == 0 {
		return nil, errors.New(`it has no keys: its member "keys" is missing or empty`)
	}
	set := &keySet{}
	for i, raw := range document.Keys {
		name := fmt.Sprintf("key %d", i+1)
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil || members == nil {
			set.skipped = append(set.skipped, name+" is not an object")
			continue
		}
		if id := text64(members["kid"]); id != "" {
			name = fmt.Sprintf("key %d (kid %q)", i+1, id)
		}
		if secret(members) {
			return nil, fmt.Errorf("%s is a private or a symmetric key, which makes tokens: leave only public keys in the set, and replace this one at the issuer",
				name)
		}
		key, err := parseKey(raw, members, allowed)
		if err != nil {
			set.skipped = append(set.skipped, fmt.Sprintf("%s %v", name, err))
			continue
		}
		set.keys = append(set.keys, key)
	}
	if len(set.keys) == 0 {
		return nil, fmt.Errorf("it has no public key that can verify %s: %s", names(allowed), strings.Join(set.skipped, "; "))
	}
	return set, nil
}

// text64 is a string of JSON, cut to what a log can bear.
func text64(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return shorten(text)
}

// secret reports whether a key has a member that only private and symmetric keys have (RFC 7518, section 6; RFC 9964).
func secret(members map[string]json.RawMessage) bool {
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, found := members[member]; found {
			return true
		}
	}
	return text64(members["kty"]) == "oct"
}

// parseKey returns a key that can verify something, or what completes its name to a sentence.
func parseKey(raw json.RawMessage, members map[string]json.RawMessage, allowed []jose.SignatureAlgorithm) (publicKey, error) {
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(raw); err != nil {
		return publicKey{}, fmt.Errorf("can't be used: %w", err)
	}
	if !parsed.Valid() || !parsed.IsPublic() {
		return publicKey{}, errors.New("is no public key")
	}
	if parsed.Use != "" && parsed.Use != "sig" {
		return publicKey{}, fmt.Errorf("is for another use, %q", shorten(parsed.Use))
	}
	if operations, found := members["key_ops"]; found {
		var list []string
		if json.Unmarshal(operations, &list) != nil || !slices.Contains(list, "verify") {
			return publicKey{}, errors.New("is not for verifying")
		}
	}
	algorithms := algorithmsOf(parsed.Key)
	if len(algorithms) == 0 {
		return publicKey{}, fmt.Errorf("is too short or of a kind that is not taken: RSA must have at least %d bits, curves are P-256, P-384, P-521 and Ed25519", shortestRSA)
	}
	algorithms = slices.DeleteFunc(algorithms, func(algorithm jose.SignatureAlgorithm) bool {
		return !slices.Contains(allowed, algorithm) || (parsed.Algorithm != "" && parsed.Algorithm != string(algorithm))
	})
	if len(algorithms) == 0 {
		return publicKey{}, fmt.Errorf("has no algorithm that is taken (alg %q)", shorten(parsed.Algorithm))
	}
	return publicKey{id: parsed.KeyID, key: parsed.Key, algorithms: algorithms}, nil
}

// algorithmsOf returns what a key could verify by its kind.
func algorithmsOf(key any) []jose.SignatureAlgorithm {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= shortestRSA {
			return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
		}
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return []jose.SignatureAlgorithm{jose.ES256}
		case elliptic.P384():
			return []jose.SignatureAlgorithm{jose.ES384}
		case elliptic.P521():
			return []jose.SignatureAlgorithm{jose.ES512}
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	return nil
}

// shorten keeps what came from outside from filling a log.
func shorten(text string) string {
	const longest = 64
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
