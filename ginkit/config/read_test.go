package config

import (
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// everything has a field of each type.
type everything struct {
	Text     string        `env:"TEXT" default:"hello"`
	Short    string        `env:"SHORT" default:"ab" min:"2" max:"4"`
	Long     *string       `env:"LONG" min:"3"`
	Mode     mode          `env:"MODE" default:"problems" oneof:"problems all none"`
	Switch   bool          `env:"SWITCH"`
	Whole    int           `env:"WHOLE" default:"5" min:"-10" max:"10"`
	Little   int8          `env:"LITTLE"`
	Port     uint16        `env:"PORT" default:"8080" min:"1"`
	Big      int64         `env:"BIG"`
	Huge     uint64        `env:"HUGE"`
	Most     int           `env:"MOST" max:"3"`
	Least    int64         `env:"LEAST" default:"1" min:"1"`
	Rate     float64       `env:"RATE" min:"0" max:"1"`
	Single   float32       `env:"SINGLE"`
	Wait     time.Duration `env:"WAIT" default:"30s" min:"1ms" max:"1h"`
	Offset   time.Duration `env:"OFFSET" min:"-1h"`
	Age      time.Duration `env:"AGE"`
	Level    slog.Level    `env:"LEVEL" default:"info"`
	Origins  []string      `env:"ORIGINS" default:"a, b" max:"3"`
	Features []mode        `env:"FEATURES" oneof:"x y"`
	Backend  url.URL       `env:"BACKEND" default:"http://localhost:8080/"`
	Proxy    *url.URL      `env:"PROXY"`
	Token    Secret        `env:"TOKEN"`
	Key      *Secret       `env:"KEY" min:"8"`
	Address  netip.Addr    `env:"ADDRESS" default:"127.0.0.1"`
	Hidden   netip.Addr    `env:"HIDDEN" secret:"true"`
	DSN      string        `env:"DSN" secret:"true" oneof:"postgres:// mysql://" default:"mysql://"`
	DB       struct {
		Host string `env:"HOST" default:"db"`
		Pool struct {
			Size int `env:"SIZE" default:"4" min:"1" max:"100"`
		} `prefix:"POOL_"`
	} `prefix:"DB_"`
	embedded
	Left string `env:"-" default:"not read"`
	Mine string
}

type embedded struct {
	Inner string `env:"INNER" default:"in"`
}

type mode string

// nothing is everything where nothing is set.
func nothing() everything {
	e := everything{
		Text: "hello", Short: "ab", Mode: "problems", Whole: 5, Port: 8080, Least: 1, Wait: 30 * time.Second, Origins: []string{"a", "b"},
		Backend: url.URL{Scheme: "http", Host: "localhost:8080", Path: "/"}, Address: netip.MustParseAddr("127.0.0.1"), DSN: "mysql://",
		embedded: embedded{Inner: "in"},
	}
	e.DB.Host, e.DB.Pool.Size = "db", 4
	return e
}

var compare = cmp.Options{cmp.AllowUnexported(everything{}, url.Userinfo{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

func TestValues(t *testing.T) {
	tests := map[string]struct {
		env  []string
		want func(*everything)
	}{
		"nothing is set":                {want: func(*everything) {}},
		"an empty variable is unset":    {env: []string{"TEXT=", "WHOLE=", "TOKEN="}, want: func(*everything) {}},
		"other variables don't matter":  {env: []string{"OTHER=x", "=strange", "NOTHING"}, want: func(*everything) {}},
		"the first of two counts":       {env: []string{"TEXT=a", "TEXT=b"}, want: func(e *everything) { e.Text = "a" }},
		"a text is taken as it is":      {env: []string{"TEXT= a=b,\n c "}, want: func(e *everything) { e.Text = " a=b,\n c " }},
		"length counts characters":      {env: []string{"SHORT=äöüß"}, want: func(e *everything) { e.Short = "äöüß" }},
		"an optional text":              {env: []string{"LONG=abc"}, want: func(e *everything) { e.Long = new("abc") }},
		"one of several":                {env: []string{"MODE=none"}, want: func(e *everything) { e.Mode = "none" }},
		"true":                          {env: []string{"SWITCH=true"}, want: func(e *everything) { e.Switch = true }},
		"1 is true":                     {env: []string{"SWITCH=1"}, want: func(e *everything) { e.Switch = true }},
		"the least":                     {env: []string{"WHOLE=-10"}, want: func(e *everything) { e.Whole = -10 }},
		"the most":                      {env: []string{"WHOLE=10"}, want: func(e *everything) { e.Whole = 10 }},
		"the least of a type":           {env: []string{"LITTLE=-128"}, want: func(e *everything) { e.Little = -128 }},
		"the most of a type":            {env: []string{"PORT=65535"}, want: func(e *everything) { e.Port = 65535 }},
		"the most of 64 bits":           {env: []string{"HUGE=18446744073709551615"}, want: func(e *everything) { e.Huge = math.MaxUint64 }},
		"the least of 64 bits":          {env: []string{"BIG=-9223372036854775808"}, want: func(e *everything) { e.Big = math.MinInt64 }},
		"a float with an exponent":      {env: []string{"RATE=5e-2"}, want: func(e *everything) { e.Rate = 0.05 }},
		"a float of 32 bits":            {env: []string{"SINGLE=-0.5"}, want: func(e *everything) { e.Single = -0.5 }},
		"a time":                        {env: []string{"WAIT=1m30s"}, want: func(e *everything) { e.Wait = 90 * time.Second }},
		"the longest time":              {env: []string{"WAIT=60m"}, want: func(e *everything) { e.Wait = time.Hour }},
		"a negative time if min has it": {env: []string{"OFFSET=-5m"}, want: func(e *everything) { e.Offset = -5 * time.Minute }},
		"a level":                       {env: []string{"LEVEL=Warn"}, want: func(e *everything) { e.Level = slog.LevelWarn }},
		"a list":                        {env: []string{"ORIGINS=x , y,z"}, want: func(e *everything) { e.Origins = []string{"x", "y", "z"} }},
		"a list of few":                 {env: []string{"FEATURES=y,x"}, want: func(e *everything) { e.Features = []mode{"y", "x"} }},
		"a URL":                         {env: []string{"PROXY=http://u:p@h/p?q=1"}, want: func(e *everything) { e.Proxy, _ = url.Parse("http://u:p@h/p?q=1") }},
		"a URL of a file":               {env: []string{"BACKEND=unix:///run/x"}, want: func(e *everything) { e.Backend = url.URL{Scheme: "unix", Path: "/run/x"} }},
		"a secret":                      {env: []string{"TOKEN=\xff\x00"}, want: func(e *everything) { e.Token = NewSecret("\xff\x00") }},
		"an optional secret":            {env: []string{"KEY=12345678"}, want: func(e *everything) { e.Key = new(NewSecret("12345678")) }},
		"a type with UnmarshalText":     {env: []string{"ADDRESS=::1"}, want: func(e *everything) { e.Address = netip.IPv6Loopback() }},
		"a nested struct":               {env: []string{"DB_HOST=h", "DB_POOL_SIZE=7"}, want: func(e *everything) { e.DB.Host, e.DB.Pool.Size = "h", 7 }},
		"an embedded struct":            {env: []string{"INNER=x"}, want: func(e *everything) { e.Inner = "x" }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			want := nothing()
			tc.want(&want)
			got, err := Read[everything](Environment(tc.env))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWrongValues(t *testing.T) {
	tests := map[string]struct{ env, want string }{
		"too short":                     {"SHORT=a", `SHORT: "a" is not a text of 2 to 4 characters`},
		"too long":                      {"SHORT=abcde", `SHORT: "abcde" is not a text of 2 to 4 characters`},
		"too short for a pointer":       {"LONG=a", `LONG: "a" is not a text of at least 3 characters`},
		"no UTF-8":                      {"TEXT=\xff", `TEXT: "\xff" is not a text`},
		"none of several":               {"MODE=All", `MODE: "All" is not problems, all or none`},
		"not a boolean":                 {"SWITCH=yes", `SWITCH: "yes" is not true or false`},
		"a word for a number":           {"WHOLE=ten", `WHOLE: "ten" is not a whole number from -10 to 10`},
		"a fraction for a whole number": {"WHOLE=1.5", `WHOLE: "1.5" is not a whole number from -10 to 10`},
		"a space":                       {"WHOLE= 1", `WHOLE: " 1" is not a whole number from -10 to 10`},
		"too small":                     {"WHOLE=-11", `WHOLE: "-11" is not a whole number from -10 to 10`},
		"too large":                     {"WHOLE=11", `WHOLE: "11" is not a whole number from -10 to 10`},
		"too large for the type":        {"LITTLE=128", `LITTLE: "128" is not a whole number from -128 to 127`},
		"too large for 64 bits":         {"BIG=9223372036854775808", `BIG: "9223372036854775808" is not a whole number`},
		"negative":                      {"HUGE=-1", `HUGE: "-1" is not a whole number of at least 0`},
		"below one bound and the type":  {"PORT=0", `PORT: "0" is not a whole number from 1 to 65535`},
		"above one bound":               {"MOST=4", `MOST: "4" is not a whole number of at most 3`},
		"below one bound":               {"LEAST=0", `LEAST: "0" is not a whole number of at least 1`},
		"not a number":                  {"RATE=NaN", `RATE: "NaN" is not a number from 0 to 1`},
		"infinite":                      {"SINGLE=-Inf", `SINGLE: "-Inf" is not a number`},
		"too large for 32 bits":         {"SINGLE=1e39", `SINGLE: "1e39" is not a number`},
		"a little too much":             {"RATE=1.0000001", `RATE: "1.0000001" is not a number from 0 to 1`},
		"a time without a unit":         {"WAIT=5", `WAIT: "5" is not a time with a unit (250ms, 2s) from 1ms to 1h`},
		"a time too short":              {"WAIT=1us", `WAIT: "1us" is not a time with a unit (250ms, 2s) from 1ms to 1h`},
		"a time too long":               {"WAIT=61m", `WAIT: "61m" is not a time with a unit (250ms, 2s) from 1ms to 1h`},
		"a time beyond all bounds":      {"AGE=99999999h", `AGE: "99999999h" is not a time with a unit (250ms, 2s) of at least 0s`},
		"a negative time":               {"AGE=-1s", `AGE: "-1s" is not a time with a unit (250ms, 2s) of at least 0s`},
		"no level":                      {"LEVEL=loud", `LEVEL: "loud" is not debug, info, warn or error`},
		"an empty item":                 {"ORIGINS=a,,b", `ORIGINS: "a,,b" is not a list, separated by commas, of at most 3 items`},
		"too many items":                {"ORIGINS=a,b,c,d", `ORIGINS: "a,b,c,d" is not a list, separated by commas, of at most 3 items`},
		"one wrong item":                {"FEATURES=x,z", `FEATURES: "x,z" is not a list, separated by commas, of x or y`},
		"a URL without a scheme":        {"BACKEND=localhost:8080", `BACKEND: "localhost:8080" is not an absolute URL such as https://example.com/path`},
		"a URL without a host":          {"BACKEND=http:///path", `BACKEND: "http:///path" is not an absolute URL such as https://example.com/path`},
		"a URL with a password":         {"PROXY=http//me:secret@h", `PROXY: the value, which is not shown, is not an absolute URL such as https://example.com/path`},
		"a secret too short":            {"KEY=1234567", `KEY: the value, which is not shown, is not a secret of at least 8 bytes`},
		"what UnmarshalText refuses":    {"ADDRESS=1.2.3", `ADDRESS: "1.2.3" can't be used: ParseAddr("1.2.3"): IPv4 address too short`},
		"a hidden value":                {"HIDDEN=s3cr3t", `HIDDEN: the value, which is not shown, is not a netip.Addr`},
		"a hidden text":                 {"DSN=s3cr3t", `DSN: the value, which is not shown, is not postgres:// or mysql://`},
		"a nested struct":               {"DB_POOL_SIZE=0", `DB_POOL_SIZE: "0" is not a whole number from 1 to 100`},
		"a long value":                  {"WHOLE=" + strings.Repeat("ä", 100), `WHOLE: "` + strings.Repeat("ä", 60) + `"… (200 bytes) is not a whole number from -10 to 10`},
		"control characters":            {"LEVEL=a\n\x1b[31mb", `LEVEL: "a\n\x1b[31mb" is not debug, info, warn or error`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Read[everything](Environment([]string{tc.env}))
			if err == nil || err.Error() != tc.want {
				t.Errorf("error is\n%v\nwant\n%s", err, tc.want)
			}
			if diff := cmp.Diff(everything{}, got, compare); diff != "" {
				t.Errorf("with an error the struct is not zero (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllErrorsAreSaidAtOnce(t *testing.T) {
	type settings struct {
		Name  string        `env:"NAME" required:"true"`
		Key   Secret        `env:"KEY" required:"true" min:"16"`
		Wait  time.Duration `env:"WAIT"`
		Count int           `env:"COUNT"`
	}
	_, err := Read[settings](Environment([]string{"WAIT=5", "COUNT=x", "APP_COUNTS=1", "APP_=1"}, Prefix("APP_")))
	want := `APP_COUNTS is not known
APP_ is not known
NAME: is not set, and should be a text
KEY: is not set, and should be a secret of at least 16 bytes
WAIT: "5" is not a time with a unit (250ms, 2s) of at least 0s
COUNT: "x" is not a whole number`
	if err == nil || err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
}

// validated has a rule for two fields.
type validated struct {
	Low  int `env:"LOW" default:"1" reload:"true"`
	High int `env:"HIGH" default:"5"`
}

var errOrder = errors.New("LOW must be less than HIGH")

func (v *validated) Validate() error {
	if v.Low >= v.High {
		return errOrder
	}
	return nil
}

func TestValidateIsAskedOnceAllFieldsAreRight(t *testing.T) {
	if _, err := Read[validated](Environment([]string{"LOW=4"})); err != nil {
		t.Error(err)
	}
	if _, err := Read[validated](Environment([]string{"LOW=5"})); !errors.Is(err, errOrder) {
		t.Errorf("error is %v, want %v", err, errOrder)
	}
	if _, err := Read[validated](Environment([]string{"LOW=5", "HIGH=x"})); err == nil || errors.Is(err, errOrder) {
		t.Errorf("error is %v, want one about HIGH alone", err)
	}
}
