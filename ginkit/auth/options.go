package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Options say which tokens are good. Issuer, Audience and KeySet must be given.
type Options struct {
	// Issuer is who must have issued a token: its claim iss, character by character.
	Issuer string
	// Audience is what this service is called in tokens: the claim aud of a token must name at least one of these.
	Audience []string
	// KeySet is where the issuer's public keys are, as a JSON Web Key Set of at most 1 MiB: the path of a file, or an http or https
	// URL. A file is looked at every 10 s. Whoever can change what a plain http URL answers can let anybody in.
	KeySet string
	// Algorithms are the signatures that are taken. The default is RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and
	// EdDSA, which is all there may be: with HS256 and its like, whoever can check a token can also make one.
	Algorithms []string
	// Leeway is how far the clocks of issuer and service may be apart, from 0 to 10m. The default, for 0, is 1m; 1ns is none.
	Leeway time.Duration
	// Refresh is how often a URL is read, at least 1s, default 15m, less up to a tenth so that replicas spread out. After a failure
	// it is read again in 30s at the latest.
	Refresh time.Duration
	// Realm is what clients are told they need a token for, default "api".
	Realm string
	// HTTPClient reads the URL, for an issuer with a certificate of its own. The default is a client with Go's settings. Either way a
	// reading takes at most 5 s.
	HTTPClient *http.Client
	// Log takes what happens to the key set and, at level DEBUG, why each token was refused that was; default slog.Default().
	Log *slog.Logger
}

// Authenticator checks tokens. It is made by New.
type Authenticator struct {
	issuer     string
	audience   []string
	algorithms []jose.SignatureAlgorithm
	leeway     time.Duration
	realm      string
	log        *slog.Logger
	keys       *keyring
	now        func() time.Time
}

// timing is what tests change.
type timing struct {
	now func() time.Time
	// timeout ends one reading of the key set.
	timeout time.Duration
	// poll is how often a file is read.
	poll time.Duration
	// retry is how soon after a failure a URL is read again.
	retry time.Duration
	// pause is the least time between a reading and the next one that a token causes.
	pause time.Duration
	// patience is how long a request waits for the reading that its token caused.
	patience time.Duration
}

var defaultTiming = timing{
	now: time.Now, timeout: 5 * time.Second, poll: 10 * time.Second, retry: 30 * time.Second, pause: 10 * time.Second, patience: 2 * time.Second,
}

var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// New reads the key set and returns what checks tokens with it. The key set is followed until ctx ends; after that tokens are still
// checked, with the keys that are known by then. The error names the field of Options that is wrong and what to do about it.
func New(ctx context.Context, options Options) (*Authenticator, error) {
	return start(ctx, options, defaultTiming)
}

func start(ctx context.Context, options Options, timing timing) (*Authenticator, error) {
	options = options.withDefaults()
	algorithms, wrong := options.check()
	read, interval, err := openKeySet(options, timing)
	if err := errors.Join(wrong, err); err != nil {
		return nil, err
	}
	keys := &keyring{
		read: read, interval: interval, allowed: algorithms, timing: timing, wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		log: options.Log.With(slog.String("keySet", printable(options.KeySet))),
	}
	if err := keys.load(ctx); err != nil {
		return nil, fmt.Errorf("auth: KeySet %s: %w; it must be a JSON Web Key Set with a public key that signs, such as what the issuer has at its jwks_uri",
			printable(options.KeySet), err)
	}
	keys.ended = timing.now()
	go keys.follow(ctx)
	return &Authenticator{
		issuer: options.Issuer, audience: options.Audience, algorithms: algorithms, leeway: options.Leeway, realm: options.Realm, log: options.Log,
		keys: keys, now: timing.now,
	}, nil
}

func (o Options) withDefaults() Options {
	if o.Leeway == 0 {
		o.Leeway = time.Minute
	}
	if o.Refresh == 0 {
		o.Refresh = 15 * time.Minute
	}
	if o.Realm == "" {
		o.Realm = "api"
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// check returns the algorithms, and everything that is wrong but the key set.
func (o Options) check() ([]jose.SignatureAlgorithm, error) {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("auth: "+format, args...)) }
	if o.Issuer == "" {
		fail("Issuer is not set: give the issuer's name as its tokens have it in the claim iss, such as https://login.example.com")
	}
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		fail("Audience is not set, or has an empty entry: give the name of this service that tokens for it have in the claim aud")
	}
	if o.Leeway < 0 || o.Leeway > 10*time.Minute {
		fail("Leeway is %s: give a time from 0 to 10m", o.Leeway)
	}
	if o.Refresh < time.Second {
		fail("Refresh is %s: give at least 1s, or nothing for 15m", o.Refresh)
	}
	if strings.ContainsFunc(o.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		fail("Realm is %q: give printable ASCII with neither quotes nor backslashes", o.Realm)
	}
	if len(o.Algorithms) == 0 {
		return slices.Clone(asymmetric), errors.Join(wrong...)
	}
	algorithms := make([]jose.SignatureAlgorithm, 0, len(o.Algorithms))
	for _, name := range o.Algorithms {
		algorithm := jose.SignatureAlgorithm(name)
		if !slices.Contains(asymmetric, algorithm) {
			fail("Algorithms has %q: give some of %s, or nothing for all of them", name, names(asymmetric))
			continue
		}
		algorithms = append(algorithms, algorithm)
	}
	return algorithms, errors.Join(wrong...)
}

func names(algorithms []jose.SignatureAlgorithm) string {
	list := make([]string, len(algorithms))
	for i, algorithm := range algorithms {
		list[i] = string(algorithm)
	}
	return strings.Join(list, " ")
}
