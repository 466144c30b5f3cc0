// Package config fills a struct from the environment and from mounted files, and says everything that is wrong with them at once.
//
//	type Config struct {
//		Timeout  time.Duration `env:"TIMEOUT" default:"30s" min:"1ms" max:"1h"`
//		LogLevel slog.Level    `env:"LOG_LEVEL" default:"info" reload:"true"`
//		Token    config.Secret `env:"TOKEN" required:"true"`
//	}
//	cfg, err := config.Read[Config](config.Files("/etc/shop"), config.Environment(os.Environ()))
//
// Where two sources have a name, the later one wins; where none has it, the tag default counts. An empty value counts as unset, in the
// environment and in files. Only the value that wins is looked at.
//
// An error names the variable, where it stands, the value, shortened, and what it should be. A value that is secret is never in an error,
// nor in a log. What is wrong with the struct itself, such as a default that is out of bounds, is an error of every Read, whatever is set.
//
// # Tags
//
//   - env is the name of the variable, of the file in a folder, and of the key in a document. "-" leaves a field out, and so does no tag.
//   - default is read like a value from outside.
//   - required:"true" makes it an error that nothing is set.
//   - min and max bound numbers and times, the characters of a string, the bytes of a Secret and the items of a list. They belong to the
//     values that are allowed. A time must not be negative, unless min says so.
//   - oneof are the values that a string, or each item of a list, may have, separated by spaces.
//   - reload:"true" lets Watch change the field while the process runs.
//   - secret:"true" keeps the value out of messages, whatever its type. A Secret needs it not.
//   - help is for Describe.
//   - prefix, on a nested struct, is put before the names of its fields.
//
// # Types
//
// Strings, booleans, integers, floats (never NaN or infinite), time.Duration (with its unit), slog.Level, []string (separated by commas, or
// a list in a document), url.URL (absolute), Secret, and what has UnmarshalText. A pointer to one of them is nil where nothing is set.
// Structs nest. A field without a default that is no pointer has its zero value where nothing is set, which its bounds must allow.
//
// A struct with a method Validate() error, on the struct or on its pointer, is asked for what concerns more than one field, once every
// field is right.
//
// github.com/caarlos0/env/v11 is not used: its errors name the field of the struct and not the variable, show the value also where it is
// secret, and it has no bounds and no files.
package config
