// Package requestid gives each request an id that is the same in the answer, in the logs and in the services behind it.
//
// An id that comes with the request is kept, so that it follows a request through several services; one that is missing, too long or
// could do harm in a log is replaced. The id lives in the header of the answer, and nowhere else: reading it costs a look-up, and
// keeping it costs nothing.
package requestid

import (
	"encoding/hex"
	"math/rand/v2"

	"github.com/gin-gonic/gin"
)

// Header carries the id, in requests and in answers.
const Header = "X-Request-Id"

// longest is how many characters an id from outside may have.
const longest = 128

// Middleware keeps the id that a request brings, or gives it one, and returns it in the answer.
func Middleware() gin.HandlerFunc {
	return func(c *gin.Context) {
		id := c.Request.Header.Get(Header)
		if !valid(id) {
			id = create()
		}
		c.Writer.Header()[Header] = []string{id}
	}
}

// Get returns the id of a request, or "" where Middleware did not see it.
func Get(c *gin.Context) string {
	if values := c.Writer.Header()[Header]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// create returns 32 hexadecimal digits. They tell requests apart and are no secret, so the fast generator is good enough.
func create() string {
	var raw [16]byte
	high, low := rand.Uint64(), rand.Uint64() //nolint:gosec // an id, not a secret
	for i := range 8 {
		raw[i], raw[i+8] = byte(high>>(8*i)), byte(low>>(8*i)) //nolint:gosec // the lowest eight bits are meant
	}
	var digits [32]byte
	hex.Encode(digits[:], raw[:])
	return string(digits[:])
}

// valid keeps out of logs and answers what is too long for an id, or is none.
func valid(id string) bool {
	if id == "" || len(id) > longest {
		return false
	}
	for i := range len(id) {
		b := id[i]
		if (b < '0' || b > '9') && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}
