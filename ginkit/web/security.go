package web

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gin-contrib/secure"
	"github.com/gin-gonic/gin"
)

// SecurityOptions say what browsers are told. All have defaults, which are those for a service that answers with data and not pages.
type SecurityOptions struct {
	// ContentSecurityPolicy is that header, default "default-src 'none'; frame-ancestors 'none'". It must be another one where pages
	// are served.
	ContentSecurityPolicy string
	// FrameOptions is the header X-Frame-Options, for browsers that don't know frame-ancestors: DENY, the default, or SAMEORIGIN.
	FrameOptions string
	// ReferrerPolicy is that header, default no-referrer.
	ReferrerPolicy string
	// HSTS is for how long, in whole seconds, browsers shall use nothing but https with this host. The default, 0, says nothing: it can't be
	// taken back, and is for the host to decide, not for one service on it.
	HSTS time.Duration
	// HSTSSubdomains extends HSTS to all names below this host.
	HSTSSubdomains bool
}

var referrerPolicies = []string{
	"no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin", "same-origin", "strict-origin",
	"strict-origin-when-cross-origin", "unsafe-url",
}

// SecurityHeaders sets X-Content-Type-Options: nosniff, X-Frame-Options, Referrer-Policy, Content-Security-Policy and, where asked for,
// Strict-Transport-Security, in all answers. A handler may set another value for its own. It uses gin-contrib/secure for these, and
// none of what that does besides.
func SecurityHeaders(options SecurityOptions) (gin.HandlerFunc, error) {
	if options.ContentSecurityPolicy == "" {
		options.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'"
	}
	if options.FrameOptions == "" {
		options.FrameOptions = "DENY"
	}
	if options.ReferrerPolicy == "" {
		options.ReferrerPolicy = "no-referrer"
	}
	if err := options.check(); err != nil {
		return nil, err
	}
	return secure.New(secure.Config{
		ContentTypeNosniff:      true,
		CustomFrameOptionsValue: options.FrameOptions,
		ContentSecurityPolicy:   options.ContentSecurityPolicy,
		ReferrerPolicy:          options.ReferrerPolicy,
		STSSeconds:              int64(options.HSTS / time.Second),
		STSIncludeSubdomains:    options.HSTSSubdomains,
	}), nil
}

func (o SecurityOptions) check() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("web: "+format, args...)) }
	if strings.ContainsFunc(o.ContentSecurityPolicy, func(r rune) bool { return r < ' ' || r > '~' }) {
		fail("ContentSecurityPolicy is %q: give it on one line of printable ASCII", o.ContentSecurityPolicy)
	}
	if o.FrameOptions != "DENY" && o.FrameOptions != "SAMEORIGIN" {
		fail("FrameOptions is %q: give DENY or SAMEORIGIN", o.FrameOptions)
	}
	if !slices.Contains(referrerPolicies, o.ReferrerPolicy) {
		fail("ReferrerPolicy is %q: give one of %s", o.ReferrerPolicy, strings.Join(referrerPolicies, ", "))
	}
	if o.HSTS != 0 && o.HSTS < time.Second {
		fail("HSTS is %s: give at least 1s, or nothing to leave it out", o.HSTS)
	}
	if o.HSTSSubdomains && o.HSTS == 0 {
		fail("HSTSSubdomains needs HSTS: give a time such as 8760h")
	}
	return errors.Join(wrong...)
}
