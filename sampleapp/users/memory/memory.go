// Package memory keeps users in the process: what the service does without DATABASE_URL. They end with it, and each pod has its own.
package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gin-operator/gin-operator/sampleapp/users"
)

// DefaultCapacity is how many users a Store keeps unless it is told otherwise.
const DefaultCapacity = 10_000

// Store is a users.Store. Get takes the logarithm of the number of users, List that and the length of the page.
type Store struct {
	capacity int

	mu     sync.RWMutex
	byID   []users.User // ascending
	emails map[string]struct{}
}

var _ users.Store = (*Store)(nil)

// New returns an empty store for that many users; 0 is DefaultCapacity.
func New(capacity int) *Store {
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	return &Store{capacity: capacity, emails: map[string]struct{}{}}
}

// Create implements users.Store.
func (s *Store) Create(ctx context.Context, user users.NewUser) (users.User, error) {
	if err := ctx.Err(); err != nil {
		return users.User{}, fmt.Errorf("creating a user: %w", err)
	}
	key := users.EmailKey(user.Email)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.emails[key]; taken {
		return users.User{}, users.ErrEmailTaken
	}
	if len(s.byID) >= s.capacity {
		return users.User{}, fmt.Errorf("%w: it has %d of %d", users.ErrFull, len(s.byID), s.capacity)
	}
	// Made with the lock held, ids ascend, so that this appends but where a clock went back further than package uuid knows of.
	made, err := users.Make(user)
	if err != nil {
		return users.User{}, fmt.Errorf("creating a user: %w", err)
	}
	at, _ := s.find(made.ID)
	s.byID = slices.Insert(s.byID, at, made)
	s.emails[key] = struct{}{}
	return made, nil
}

// Get implements users.Store.
func (s *Store) Get(ctx context.Context, id string) (users.User, error) {
	if err := ctx.Err(); err != nil {
		return users.User{}, fmt.Errorf("reading a user: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, found := s.find(id)
	if !found {
		return users.User{}, users.ErrNotFound
	}
	return s.byID[at], nil
}

// List implements users.Store.
func (s *Store) List(ctx context.Context, after string, limit int) ([]users.User, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	if after != "" && !users.IsID(after) {
		return nil, users.ErrBadCursor
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	from, found := s.find(after)
	if found {
		from++
	}
	to := min(from+users.Limit(limit), len(s.byID))
	// A copy, for the array is written to when the lock is gone.
	return append([]users.User{}, s.byID[from:to]...), nil
}

// Check implements the check of a component's health. Memory is always there.
func (*Store) Check(context.Context) error { return nil }

// find returns where a user is or would be. The caller holds the lock.
func (s *Store) find(id string) (int, bool) {
	return slices.BinarySearchFunc(s.byID, id, func(user users.User, id string) int { return strings.Compare(user.ID, id) })
}
