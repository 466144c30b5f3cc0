// Package storetest is what every users.Store is held to, as a test that each of them runs.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/sampleapp/users"
)

// Run holds a store to the contract. open returns an empty store and sees to its end; it is called once for each part.
func Run(t *testing.T, open func(t *testing.T) users.Store) {
	t.Helper()
	parts := map[string]func(*testing.T, users.Store){
		"a user that was created is there":                    testCreated,
		"text comes back as it was":                           testText,
		"an address belongs to one user":                      testEmailTaken,
		"of many who want an address one gets it":             testEmailRace,
		"an id that nobody has is not found":                  testNotFound,
		"an empty store lists nothing":                        testEmptyList,
		"pages hold each user once, by id":                    testPages,
		"pages hold each user once while others are created":  testPagesWhileCreating,
		"a limit is brought into its range":                   testLimit,
		"a cursor that is no id is refused":                   testBadCursor,
		"who went away gets the error of the context":         testCancelled,
		"who had no time left gets the error of the deadline": testDeadline,
	}
	for name, part := range parts {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
}

func create(t *testing.T, store users.Store, email string) users.User {
	t.Helper()
	user, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: email})
	if err != nil {
		t.Fatalf("creating %s: %v", email, err)
	}
	return user
}

func testCreated(t *testing.T, store users.Store) {
	before := time.Now().Truncate(time.Microsecond)
	user := create(t, store, "Ada@Example.org")
	if !users.IsID(user.ID) {
		t.Errorf("the id is %q", user.ID)
	}
	if user.Name != "Ada" || user.Email != "Ada@Example.org" {
		t.Errorf("got %+v", user)
	}
	if user.CreatedAt.Before(before) || user.CreatedAt.After(time.Now()) {
		t.Errorf("created at %s, in a call that began at %s", user.CreatedAt, before)
	}
	// Twice, for a cache answers the second time.
	for range 2 {
		got, err := store.Get(t.Context(), user.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(user, got); diff != "" {
			t.Errorf("Get returns another user than Create (-Create +Get):\n%s", diff)
		}
		if got.CreatedAt.Location() != time.UTC {
			t.Errorf("the time is in %s", got.CreatedAt.Location())
		}
	}
}

func testText(t *testing.T, store users.Store) {
	texts := map[string]users.NewUser{
		"quotes and SQL":        {Name: `Robert'); drop table users; -- "\`, Email: "o'neil@example.org"},
		"100 wide characters":   {Name: strings.Repeat("😀", 100), Email: "wide@example.org"},
		"254 characters":        {Name: "Ada", Email: strings.Repeat("a", 242) + "@example.org"},
		"letters beyond ASCII":  {Name: "Ἀριστοτέλης", Email: "αρ@example.org"},
		"line breaks and spans": {Name: " a\r\n\tb <b> & ", Email: "lines@example.org"},
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			user, err := store.Create(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, err := store.Get(t.Context(), user.ID)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(text, users.NewUser{Name: got.Name, Email: got.Email}); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

func testEmailTaken(t *testing.T, store users.Store) {
	first := create(t, store, "ada@example.org")
	for _, email := range []string{"ada@example.org", "ADA@example.org", "ada@EXAMPLE.org"} {
		if _, err := store.Create(t.Context(), users.NewUser{Name: "Eve", Email: email}); !errors.Is(err, users.ErrEmailTaken) {
			t.Errorf("%s: got %v, want ErrEmailTaken", email, err)
		}
	}
	// Only letters of ASCII have two cases, in every store.
	create(t, store, "ä@example.org")
	create(t, store, "Ä@example.org")
	got, err := store.Get(t.Context(), first.ID)
	if err != nil || got.Name != "Ada" {
		t.Errorf("the first user is %+v, error %v", got, err)
	}
	if list := listAll(t, store, 10); len(list) != 3 {
		t.Errorf("there are %d users, want 3", len(list))
	}
}

func testEmailRace(t *testing.T, store users.Store) {
	const many = 16
	errs := make([]error, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			email := "ada@example.org"
			if i%2 == 1 {
				email = strings.ToUpper(email)
			}
			_, errs[i] = store.Create(t.Context(), users.NewUser{Name: "Ada", Email: email})
		})
	}
	all.Wait()
	created := 0
	for _, err := range errs {
		switch {
		case err == nil:
			created++
		case !errors.Is(err, users.ErrEmailTaken):
			t.Errorf("got %v, want ErrEmailTaken", err)
		}
	}
	if created != 1 {
		t.Errorf("%d of %d have the address", created, many)
	}
}

func testNotFound(t *testing.T, store users.Store) {
	user := create(t, store, "ada@example.org")
	ids := []string{
		"00000000-0000-7000-8000-000000000000", "", "7", strings.ToUpper(user.ID) + " ", "{" + user.ID + "}", strings.ReplaceAll(user.ID, "-", ""),
		"a\x00b", "\xff\xfe", "' or 1=1 --", strings.Repeat("x", 100_000), user.ID + "\n",
	}
	for _, id := range ids {
		if _, err := store.Get(t.Context(), id); !errors.Is(err, users.ErrNotFound) {
			t.Errorf("%.60q: got %v, want ErrNotFound", id, err)
		}
	}
}

func testEmptyList(t *testing.T, store users.Store) {
	list, err := store.List(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if list == nil || len(list) != 0 {
		t.Errorf("got %#v, want a list without users, which is [] in JSON", list)
	}
}

func testPages(t *testing.T, store users.Store) {
	const many = 23
	var want []users.User
	for i := range many {
		want = append(want, create(t, store, fmt.Sprintf("%d@example.org", i)))
	}
	for _, limit := range []int{1, 5, 22, 23, 24} {
		if diff := cmp.Diff(want, listAll(t, store, limit)); diff != "" {
			t.Errorf("pages of %d (-created +listed):\n%s", limit, diff)
		}
	}
	// Keyset paging needs no user of that id: nothing goes wrong where it is gone.
	list, err := store.List(t.Context(), "00000000-0000-7000-8000-000000000000", 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[:3], list); diff != "" {
		t.Errorf("after an id that nobody has (-want +got):\n%s", diff)
	}
	list, err = store.List(t.Context(), "ffffffff-ffff-7fff-bfff-ffffffffffff", 3)
	if err != nil || list == nil || len(list) != 0 {
		t.Errorf("after the last user there are %#v, error %v", list, err)
	}
}

func testPagesWhileCreating(t *testing.T, store users.Store) {
	const many = 40
	before := map[string]bool{}
	for i := range many {
		before[create(t, store, fmt.Sprintf("%d@example.org", i)).ID] = true
	}
	var creating sync.WaitGroup
	creating.Go(func() {
		for i := range many {
			if _, err := store.Create(t.Context(), users.NewUser{Name: "Eve", Email: fmt.Sprintf("new%d@example.org", i)}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 5 {
		seen := map[string]int{}
		for _, user := range listAll(t, store, 7) {
			seen[user.ID]++
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("%s is listed %d times", id, times)
			}
		}
		for id := range before {
			if seen[id] == 0 {
				t.Errorf("%s is not listed", id)
			}
		}
	}
	creating.Wait()
	if got := len(listAll(t, store, 100)); got != 2*many {
		t.Errorf("there are %d users in the end, want %d", got, 2*many)
	}
}

func listAll(t *testing.T, store users.Store, limit int) []users.User {
	t.Helper()
	var all []users.User
	after := ""
	for {
		page, err := store.List(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit {
			t.Fatalf("a page of %d has %d users", limit, len(page))
		}
		if len(page) == 0 {
			return all
		}
		last := page[len(page)-1].ID
		if last <= after {
			t.Fatalf("a page after %s ends with %s", after, last)
		}
		all, after = append(all, page...), last
	}
}

func testLimit(t *testing.T, store users.Store) {
	create(t, store, "a@example.org")
	create(t, store, "b@example.org")
	for limit, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, users.MaxPage + 1: 2, 1 << 40: 2} {
		list, err := store.List(t.Context(), "", limit)
		if err != nil || len(list) != want {
			t.Errorf("a limit of %d gives %d users, error %v, want %d", limit, len(list), err, want)
		}
	}
}

func testBadCursor(t *testing.T, store users.Store) {
	for _, after := range []string{"7", "a\x00b", "\xff", "' or 1=1 --", strings.Repeat("x", 100_000)} {
		if _, err := store.List(t.Context(), after, 10); !errors.Is(err, users.ErrBadCursor) {
			t.Errorf("%.60q: got %v, want ErrBadCursor", after, err)
		}
	}
}

func testCancelled(t *testing.T, store users.Store) {
	user := create(t, store, "ada@example.org")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	testEnded(t, store, user, ctx, context.Canceled)
}

func testDeadline(t *testing.T, store users.Store) {
	user := create(t, store, "ada@example.org")
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	testEnded(t, store, user, ctx, context.DeadlineExceeded)
}

// testEnded calls the store for somebody whose context has ended. It must not look as if the database were down.
func testEnded(t *testing.T, store users.Store, user users.User, ctx context.Context, want error) { //nolint:revive // after t and what t is about, as in the rest of this package
	t.Helper()
	_, getErr := store.Get(ctx, user.ID)
	_, listErr := store.List(ctx, "", 10)
	_, createErr := store.Create(ctx, users.NewUser{Name: "Eve", Email: "eve@example.org"})
	for call, err := range map[string]error{"Get": getErr, "List": listErr, "Create": createErr} {
		if !errors.Is(err, want) || errors.Is(err, users.ErrUnavailable) {
			t.Errorf("%s: got %v, want %v", call, err, want)
		}
	}
	if list := listAll(t, store, 10); len(list) != 1 {
		t.Errorf("there are %d users, want the one that was created before", len(list))
	}
}
