// Package users is what the service knows of its users: the type, the store that keeps them, and the errors that a store has.
//
// Package memory keeps them in the process, package postgres in PostgreSQL, and package cache puts Redis in front of either. Package
// storetest holds what all of them have in common.
//
// The settings are environment variables: DATABASE_URL for package postgres (default: package memory) and REDIS_URL for package cache
// (default: no cache); KAFKA_BROKERS and KAFKA_TOPIC are those of package queue.
package users

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

// User is somebody who was created and stays as they are.
type User struct {
	// ID is a UUID of version 7, which the store makes: ids of later users are greater, as far as the clocks of the machines agree.
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
	// CreatedAt is in UTC and to the microsecond, which is what PostgreSQL keeps.
	CreatedAt time.Time `json:"createdAt"`
}

// NewUser is what a client says of a user that is to be. A store takes it as it is: check it before, with the tags.
type NewUser struct {
	// Name has 1 to 100 characters. PostgreSQL can't keep the character 0.
	Name string `json:"name" binding:"required,max=100,excludesrune=\x00"`
	// Email has at most 254 characters, which is the most that a mail can be sent to (RFC 5321, section 4.5.3.1.3).
	Email string `json:"email" binding:"required,max=254,email"`
}

// The errors of a Store. What it returns wraps one of them, or the error of the caller's context, or is a fault.
var (
	// ErrNotFound says that there is no user of that id, which may be any text.
	ErrNotFound = errors.New("no such user")
	// ErrEmailTaken says that another user has that address.
	ErrEmailTaken = errors.New("the email address is taken")
	// ErrFull says that the store has room for no more users.
	ErrFull = errors.New("the store of users is full")
	// ErrUnavailable says that the database can't be reached or doesn't answer in time; try again later. The cause is wrapped too. A user
	// that was to be created may be there or not.
	ErrUnavailable = errors.New("the store of users is unavailable")
	// ErrBadCursor says that List is to begin after something that is no id.
	ErrBadCursor = errors.New("the cursor is not the id of a user")
)

// MaxPage is the greatest number of users that List returns.
const MaxPage = 1000

// Store keeps users. It is safe for concurrent use.
type Store interface {
	// Create makes a user. The errors are ErrEmailTaken, ErrFull and ErrUnavailable. Addresses are compared by EmailKey.
	Create(ctx context.Context, user NewUser) (User, error)
	// Get returns a user. The errors are ErrNotFound and ErrUnavailable.
	Get(ctx context.Context, id string) (User, error)
	// List returns up to limit users by id, beginning with the one that follows after, which is the id that the page before ended with;
	// "" begins with the first. A limit below 1 counts as 1, above MaxPage as MaxPage. After the last user the list is empty and not nil.
	// The errors are ErrBadCursor and ErrUnavailable.
	List(ctx context.Context, after string, limit int) ([]User, error)
}

// Make returns the user that a store is to keep.
func Make(user NewUser) (User, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return User{}, err
	}
	return User{ID: id.String(), Name: user.Name, Email: user.Email, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}, nil
}

// IsID reports whether a text has the form of an id: a UUID in lower case with its dashes.
func IsID(text string) bool {
	const length = 36
	if len(text) != length {
		return false
	}
	for i := range length {
		c := text[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return true
}

// EmailKey returns what is the same for two addresses that count as one: the address with the letters A to Z in lower case. Other
// letters stay, because what is their lower case depends on the language and, in PostgreSQL, on the database.
func EmailKey(email string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, email)
}

// Limit brings the limit of List into its range.
func Limit(limit int) int {
	return min(max(limit, 1), MaxPage)
}
