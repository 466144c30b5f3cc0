package memory_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gin-operator/gin-operator/sampleapp/users"
	"github.com/gin-operator/gin-operator/sampleapp/users/memory"
	"github.com/gin-operator/gin-operator/sampleapp/users/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) users.Store { return memory.New(0) })
}

func TestFullStoreRefusesOneMoreAndKeepsTheRest(t *testing.T) {
	store := memory.New(2)
	for _, email := range []string{"a@example.org", "b@example.org"} {
		if _, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: email}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "c@example.org"}); !errors.Is(err, users.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	// The client can do something about this one.
	if _, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "A@example.org"}); !errors.Is(err, users.ErrEmailTaken) {
		t.Errorf("got %v, want ErrEmailTaken", err)
	}
	if list, err := store.List(t.Context(), "", 10); err != nil || len(list) != 2 {
		t.Errorf("got %d users and %v, want the two", len(list), err)
	}
}

func TestDefaultCapacity(t *testing.T) {
	store := memory.New(0)
	for i := range memory.DefaultCapacity {
		if _, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: fmt.Sprintf("%d@example.org", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "more@example.org"}); !errors.Is(err, users.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}

func BenchmarkList(b *testing.B) {
	store := memory.New(0)
	var middle users.User
	for i := range memory.DefaultCapacity {
		user, err := store.Create(b.Context(), users.NewUser{Name: "Ada", Email: fmt.Sprintf("%d@example.org", i)})
		if err != nil {
			b.Fatal(err)
		}
		if i == memory.DefaultCapacity/2 {
			middle = user
		}
	}
	for b.Loop() {
		if list, err := store.List(b.Context(), middle.ID, 20); err != nil || len(list) != 20 {
			b.Fatal(len(list), err)
		}
	}
}
