package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-contrib/cors"
	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// CORSOptions say which pages may call the service, and how. Origins must be given.
type CORSOptions struct {
	// Origins are those of the pages, such as https://app.example.com or http://localhost:3000, character by character as browsers send
	// them. The only pattern is "*", alone, for everybody.
	Origins []string
	// Methods are what pages may use, default GET, HEAD, POST, PUT, PATCH and DELETE.
	Methods []string
	// Headers are what pages may send besides those that are always allowed, default Authorization, Content-Type and X-Request-Id.
	Headers []string
	// Expose is what pages may read of an answer besides what they always may, default X-Request-Id and Retry-After.
	Expose []string
	// Credentials lets pages send cookies. Tokens in the header Authorization don't need it. It can't go with the origin "*".
	Credentials bool
	// MaxAge is how long browsers need not ask again, in whole seconds up to 24h, default 2h, which is the most that Chrome takes.
	MaxAge time.Duration
}

// CORS lets pages of other origins call the service (Fetch standard, section 3.3). A preflight is answered here and reaches no other
// handler. A request of an origin that is not listed gets status 403 and the code "origin_not_allowed"; one that comes from nowhere, or
// from the service's own pages, is not concerned.
//
// It belongs on the engine, not on a group: Gin runs a group's handlers for its routes alone, and no route takes the OPTIONS of a preflight.
//
// It uses gin-contrib/cors, and mends around v1.7.7: it panics on wrong settings; refuses without a word; replaces Vary where others
// have set it; leaves Vary out where a request has no Origin; and puts one slice, with room to append, into all preflight answers.
func CORS(options CORSOptions) (gin.HandlerFunc, error) {
	options = options.withDefaults()
	if err := options.check(); err != nil {
		return nil, err
	}
	everybody := slices.Contains(options.Origins, "*")
	config := cors.Config{
		AllowMethods: options.Methods, AllowHeaders: options.Headers, ExposeHeaders: options.Expose,
		AllowCredentials: options.Credentials, MaxAge: options.MaxAge, AllowAllOrigins: everybody,
	}
	if !everybody {
		config.AllowOrigins = options.Origins
	}
	apply := cors.New(config)
	return func(c *gin.Context) {
		header, origin := c.Writer.Header(), c.Request.Header.Get("Origin")
		if !everybody {
			addVary(header, "Origin")
		}
		if origin == "" || own(c.Request, origin) {
			return
		}
		if !everybody && !slices.Contains(options.Origins, origin) {
			problem.Write(c, problem.New(http.StatusForbidden, "origin_not_allowed", "pages of this origin may not call this service"))
			return
		}
		before := header["Vary"]
		apply(c)
		after := header["Vary"]
		header["Vary"] = slices.Clone(before)
		for _, name := range after {
			addVary(header, name)
		}
		if len(header["Vary"]) == 0 {
			delete(header, "Vary")
		}
	}, nil
}

// own reports whether a request comes from a page of the service itself. Behind a proxy that changes Host, browsers still say so in
// Sec-Fetch-Site, which no page can set.
func own(request *http.Request, origin string) bool {
	return origin == "http://"+request.Host || origin == "https://"+request.Host || request.Header.Get("Sec-Fetch-Site") == "same-origin"
}

func (o CORSOptions) withDefaults() CORSOptions {
	if len(o.Methods) == 0 {
		o.Methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	}
	if len(o.Headers) == 0 {
		o.Headers = []string{"Authorization", "Content-Type", "X-Request-Id"}
	}
	if len(o.Expose) == 0 {
		o.Expose = []string{"X-Request-Id", "Retry-After"}
	}
	if o.MaxAge == 0 {
		o.MaxAge = 2 * time.Hour
	}
	o.Origins = slices.Clone(o.Origins)
	return o
}

func (o CORSOptions) check() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("web: "+format, args...)) }
	if len(o.Origins) == 0 {
		fail("Origins is empty: list the origins of the pages that call this service, such as https://app.example.com, or leave CORS out")
	}
	for _, origin := range o.Origins {
		switch {
		case origin != "*":
			if reason := badOrigin(origin); reason != "" {
				fail("Origins has %q, which %s: write it as browsers do, such as https://app.example.com or http://localhost:3000", origin, reason)
			}
		case len(o.Origins) > 1:
			fail(`Origins has "*" and others: "*" is everybody, so leave it or the others out`)
		case o.Credentials:
			fail(`Origins is "*" and Credentials is true, which would let every page act in the name of its visitors: list the origins`)
		}
	}
	for name, list := range map[string][]string{"Methods": o.Methods, "Headers": o.Headers, "Expose": o.Expose} {
		for _, value := range list {
			if !isToken(value) {
				fail("%s has %q: give one name per entry", name, value)
			} else if value == "*" && o.Credentials {
				fail(`%s has "*", which browsers take for a name when Credentials is true: list the names`, name)
			}
		}
	}
	if o.MaxAge < time.Second || o.MaxAge > 24*time.Hour {
		fail("MaxAge is %s: give a time from 1s to 24h, or nothing for 2h", o.MaxAge)
	}
	return errors.Join(wrong...)
}

// badOrigin says why no browser sends this as an origin, or nothing.
func badOrigin(origin string) string {
	if strings.Contains(origin, "*") {
		return "has a pattern, which is not supported"
	}
	parsed, err := url.Parse(origin)
	switch {
	case err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Hostname() == "":
		return "is not http:// or https:// and a host"
	case strings.ToLower(origin) != origin:
		return "has capital letters"
	case origin != parsed.Scheme+"://"+parsed.Host:
		return "has more than a scheme, a host and a port"
	case strings.HasSuffix(parsed.Host, ":") || (parsed.Scheme == "https" && parsed.Port() == "443") || (parsed.Scheme == "http" && parsed.Port() == "80"):
		return "has a port that browsers leave out"
	}
	return ""
}

// isToken reports whether a text may be the name of a method or a header (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
