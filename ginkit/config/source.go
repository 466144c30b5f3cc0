package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// largest is how many bytes a file may have, as much as a ConfigMap.
const largest = 1 << 20

// Source is where settings come from: Environment, Files or File.
type Source interface {
	// read returns what the source has, and everything that is wrong with it. Names that are not known are returned where they are an error.
	read(known func(name string) bool) ([]entry, []error)
	// folder is what to watch for changes, or "".
	folder() string
}

// entry is a value, its name, and where it was found: a file, and the line if there is one. Only the environment has no place.
type entry struct {
	value
	name, place string
}

// environment is the Source of Environment.
type environment struct {
	variables []string
	strict    []string
}

// EnvironmentOption is an option of Environment.
type EnvironmentOption func(*environment)

// Prefix makes it an error that a variable begins with the prefix and no field has its name. It adds nothing to the names of the fields.
func Prefix(prefix string) EnvironmentOption {
	return func(e *environment) { e.strict = append(e.strict, prefix) }
}

// Environment reads variables, given as os.Environ() returns them. Other variables than the fields name are left alone.
func Environment(variables []string, options ...EnvironmentOption) Source {
	e := &environment{variables: variables}
	for _, option := range options {
		option(e)
	}
	return e
}

func (*environment) folder() string { return "" }

func (e *environment) read(known func(string) bool) ([]entry, []error) {
	var found []entry
	seen := map[string]bool{}
	for _, variable := range e.variables {
		name, text, _ := strings.Cut(variable, "=")
		// As for os.Getenv, the first of two counts.
		if !seen[name] && (known(name) || e.refuses(name)) {
			seen[name] = true
			found = append(found, entry{name: name, value: value{text: text}})
		}
	}
	return found, nil
}

func (e *environment) refuses(name string) bool {
	for _, prefix := range e.strict {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// files is the Source of Files.
type files struct{ path string }

// Files reads a folder that has one file for each setting, named after it, as Kubernetes mounts ConfigMaps and Secrets. Hidden names are
// left alone, one newline at the end of a file does not count, and a file has at most 1 MiB. A file that no field names is an error, and
// so is a folder that is not there; a file that is not there is a setting that is not set.
//
// A folder that Kubernetes mounts is read as one: never a part of it before and a part of it after a change.
func Files(folder string) Source { return &files{folder} }

func (f *files) folder() string { return f.path }

// attempts is how often a folder is read that changes meanwhile. Kubernetes changes one once in a minute or so.
const attempts = 50

func (f *files) read(func(string) bool) ([]entry, []error) {
	// Kubernetes puts the files of one version in a folder of their own, links the visible names through ..data to it, and to change them
	// makes ..data point to another folder, before it removes the first. So the files are those of a version if ..data was still the same
	// when the last of them had been read.
	data := filepath.Join(f.path, "..data")
	for range attempts {
		before, err := filepath.EvalSymlinks(data)
		if err != nil {
			if _, err := os.Lstat(data); err != nil {
				// It is a folder like any other, or none.
				return f.readFolder(f.path)
			}
			continue
		}
		found, errs := f.readFolder(before)
		if after, err := filepath.EvalSymlinks(data); err == nil && after == before {
			return found, errs
		}
	}
	return nil, []error{fmt.Errorf("%s: ..data points nowhere, or changed each time that it was read", f.path)}
}

func (f *files) readFolder(folder string) ([]entry, []error) {
	list, err := os.ReadDir(folder)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: can't be read: %w", f.path, cause(err))}
	}
	var found []entry
	var errs []error
	for _, file := range list {
		name := file.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		content, err := readFile(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			if _, gone := os.Lstat(filepath.Join(folder, name)); gone != nil {
				// It went away since the folder was listed.
				continue
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Join(f.path, name), err))
			continue
		}
		text := strings.TrimSuffix(string(content), "\n")
		found = append(found, entry{name: name, place: f.path, value: value{text: strings.TrimSuffix(text, "\r")}})
	}
	return found, errs
}

// readFile reads a regular file that is not too large. Its errors don't repeat the path.
func readFile(path string) ([]byte, error) {
	// A named pipe would keep an open without O_NONBLOCK waiting.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", cause(err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", cause(err))
	}
	if info.IsDir() {
		return nil, errors.New("is a folder and not a file")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	content, err := io.ReadAll(io.LimitReader(file, largest+1))
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", cause(err))
	}
	if len(content) > largest {
		return nil, errors.New("has more than 1 MiB")
	}
	return content, nil
}

// cause takes the path out of an error, which may be the one of a version and not the one that people know.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// file is the Source of File.
type file struct{ path string }

// File reads one document, whose keys are the names of the settings: JSON if the path ends in .json, else YAML. It has one level; lists
// are for fields that are lists. null and the empty text are unset. A key that no field has is an error, and so is one that is there
// twice. It has at most 1 MiB. An empty file is an error, for that is what one looks like that is just being written: no settings are {}.
func File(path string) Source { return &file{path} }

func (f *file) folder() string { return filepath.Dir(f.path) }

func (f *file) read(func(string) bool) ([]entry, []error) {
	content, err := readFile(f.path)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", f.path, err)}
	}
	return readDocument(f.path, content)
}
