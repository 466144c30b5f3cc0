package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gin-operator/gin-operator/sampleapp/users"
	"github.com/gin-operator/gin-operator/sampleapp/users/postgres"
	"github.com/gin-operator/gin-operator/sampleapp/users/storetest"
	"github.com/gin-operator/gin-operator/test/servers"
)

// patient is a timeout that no machine is too slow for, in tests of something else.
var patient = postgres.WithTimeout(30 * time.Second)

func open(t *testing.T, url string, options ...postgres.Option) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url, append([]postgres.Option{patient}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestWithServer has one server for all tests that need one, because the making of its data takes the longest.
func TestWithServer(t *testing.T) {
	server := servers.StartPostgreSQL(t)
	t.Run("contract", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) users.Store { return open(t, server.NewDatabase(t)) })
	})
	tests := map[string]func(*testing.T, *servers.PostgreSQL){
		"errors are without the password":                      testErrorsAreWithoutThePassword,
		"pods that start together create one table":            testPodsThatStartTogetherCreateOneTable,
		"a table that is there takes no right to create one":   testTableThatIsThereTakesNoRightToCreateOne,
		"a table made anew is no trouble":                      testTableMadeAnewIsNoTrouble,
		"the table of somebody else is a fault, and no outage": testTableOfSomebodyElseIsAFaultAndNoOutage,
		"a busy pool is unavailable in time":                   testBusyPoolIsUnavailableInTime,
		"a busy pool is no outage":                             testBusyPoolIsNoOutage,
		"a database that comes later is found":                 testDatabaseThatComesLaterIsFound,
		"a restart between two calls is not noticed":           testRestartBetweenTwoCallsIsNotNoticed,
		"outages": testOutages,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// The test before may have left it down.
			server.Start(t)
			test(t, server)
		})
	}
}

func TestWrongURLIsRefusedWithoutItsPassword(t *testing.T) {
	const password = "hunter2"
	tests := map[string]string{ //nolint:gosec // what no message may hold
		"nothing":                          "",
		"no scheme":                        "app:hunter2@db:5432/app",
		"the scheme of another database":   "mysql://app:hunter2@db:3306/app",
		"a password in the scheme":         "hunter2://db",
		"what libpq calls a connection":    "host=db password=hunter2",
		"a port that is no number":         "postgres://app:hunter2@db:port/app",
		"a password with # in it":          "postgres://app:x#hunter2@db:5432/app",
		"a password with / in it":          "postgres://app:hunter2/x@db:5432/app",
		"a password with % in it":          "postgres://app:hunter2%@db:5432/app",
		"a password with a space":          "postgres://app:hunter2 x@db:5432/app",
		"a password in brackets":           "postgres://app:[hunter2]@[db/app",
		"a line break":                     "postgres://app:hunter2@db/app\n",
		"a TLS mode that there is not":     "postgres://app:hunter2@db/app?sslmode=hunter2",
		"a size of the pool in words":      "postgres://app:hunter2@db/app?pool_max_conns=many",
		"a certificate that is not there":  "postgres://app:hunter2@db/app?sslmode=verify-full&sslrootcert=/hunter2/ca",
		"a password among the parameters":  "postgres://db:x/app?password=hunter2",
		"a parameter that can't be parsed": "postgres://db/app?password=hunter2&connect_timeout=hunter2",
		"no host":                          "postgres:///app",
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			store, err := postgres.Open(t.Context(), url)
			if err == nil {
				store.Close()
				t.Fatal("taken")
			}
			if !strings.HasPrefix(err.Error(), "DATABASE_URL: ") {
				t.Errorf("the error does not begin with the setting: %v", err)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

func testErrorsAreWithoutThePassword(t *testing.T, server *servers.PostgreSQL) {
	url := server.NewDatabase(t)
	wrong := strings.Replace(url, servers.Password, "hunter2", 1)
	_, err := open(t, wrong).Get(t.Context(), someID)
	if !errors.Is(err, users.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a wrong password: got %v", err)
	}
	server.Stop(t)
	_, err = open(t, url).Get(t.Context(), someID)
	if !errors.Is(err, users.ErrUnavailable) || strings.Contains(err.Error(), servers.Password) {
		t.Errorf("no server: got %v", err)
	}
}

const someID = "0193f3a0-0000-7000-8000-000000000000"

func testPodsThatStartTogetherCreateOneTable(t *testing.T, server *servers.PostgreSQL) {
	url := server.NewDatabase(t)
	const pods = 12
	var all sync.WaitGroup
	for i := range pods {
		store := open(t, url+"&pool_max_conns=2")
		all.Go(func() {
			if _, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: fmt.Sprintf("%d@example.org", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := open(t, url).List(t.Context(), "", users.MaxPage)
	if err != nil || len(list) != pods {
		t.Errorf("there are %d users, error %v, want %d", len(list), err, pods)
	}
}

func testTableThatIsThereTakesNoRightToCreateOne(t *testing.T, server *servers.PostgreSQL) {
	url := server.NewDatabase(t)
	if err := open(t, url).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, url, "create role app login password 'app'", "grant select, insert on users to app", "revoke create on schema public from public")
	store := open(t, strings.Replace(url, "postgres:"+servers.Password, "app:app", 1))
	if _, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "ada@example.org"}); err != nil {
		t.Error(err)
	}
}

func testTableMadeAnewIsNoTrouble(t *testing.T, server *servers.PostgreSQL) {
	url := server.NewDatabase(t)
	store := open(t, url)
	create := func() users.User {
		t.Helper()
		user, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "ada@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Get(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		return user
	}
	lost := create()
	execute(t, url, "drop table users")
	if _, err := store.Get(t.Context(), lost.ID); !errors.Is(err, users.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound from the new table", err)
	}
	create()
	// Other types and another order of columns, which a statement that was prepared before would not survive.
	execute(t, url, "drop table users", `create table users (created_at timestamptz not null, email varchar(254) not null, more text,
		name varchar(100) not null, id uuid primary key)`, `create unique index users_email_key on users (lower(email collate "C"))`)
	create()
	if list, err := store.List(t.Context(), "", 10); err != nil || len(list) != 1 {
		t.Errorf("got %v and %v, want the one user", list, err)
	}
}

func testTableOfSomebodyElseIsAFaultAndNoOutage(t *testing.T, server *servers.PostgreSQL) {
	url := server.NewDatabase(t)
	execute(t, url, "create table users (id int)", "create index users_email_key on users (id)")
	err := open(t, url).Check(t.Context())
	if err == nil || errors.Is(err, users.ErrUnavailable) {
		t.Errorf("got %v, want an error that no waiting helps against", err)
	}
}

func testBusyPoolIsNoOutage(t *testing.T, server *servers.PostgreSQL) {
	url := server.NewDatabase(t)
	store := open(t, url+"&pool_max_conns=1", postgres.WithTimeout(time.Minute))
	if err := store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	// Writers wait, and readers don't.
	if _, err := conn.Exec(t.Context(), "begin; lock table users in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	created := make(chan error, 1)
	go func() {
		_, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "ada@example.org"})
		created <- err
	}()
	eventually(t, "no writer waits", func() bool {
		waits := false
		err := conn.QueryRow(t.Context(), "select count(*) > 0 from pg_locks where not granted").Scan(&waits)
		return err == nil && waits
	})
	if err := store.Check(t.Context()); err != nil {
		t.Errorf("the only connection is taken, and the database is well, but Check returns %v", err)
	}
	if _, err := conn.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	if err := <-created; err != nil {
		t.Error(err)
	}
}

func testBusyPoolIsUnavailableInTime(t *testing.T, server *servers.PostgreSQL) {
	url := server.NewDatabase(t)
	if err := open(t, url).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "begin; lock table users in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	store := open(t, url+"&pool_max_conns=1", postgres.WithTimeout(300*time.Millisecond))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := store.Get(t.Context(), someID); !errors.Is(err, users.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
	all.Wait()
	// Who gives up before the store does is told so.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	patient := open(t, url, postgres.WithTimeout(time.Minute))
	if _, err := patient.Get(ctx, someID); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, users.ErrUnavailable) {
		t.Errorf("got %v, want the deadline of the caller", err)
	}
	if _, err := conn.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store does not recover", func() bool {
		_, err := store.Get(t.Context(), someID)
		return errors.Is(err, users.ErrNotFound)
	})
}

func TestClosedStoreIsUnavailable(t *testing.T) {
	store, err := postgres.Open(t.Context(), "postgres://app@127.0.0.1:1/app")
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	if err := store.Check(t.Context()); !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// eventually polls for what a machine may take its time for.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatal(what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
