package resources

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// Revision is one version of a service: all that reaches its pods.
type Revision struct {
	// Name is the hash of Workload: 10 lower-case letters and digits that begin with a letter. After a restart there are a hyphen and 5
	// more behind it. It is safe as a label's value, as part of a name, and unquoted in YAML.
	Name string

	// Workload is the specification in normal form. Specs that mean the same have the same one.
	Workload v1alpha1.WorkloadSpec
}

// RevisionOf returns the revision that w is. It doesn't change w.
//
// The name is a hash of the canonical JSON of w, and must outlive upgrades of the operator: a new field of WorkloadSpec has to be
// absent from that JSON while it has its default, which takes omitempty or omitzero, and, for a default that the CRD fills in, an
// entry in dropDefaults. A default that was released stays in dropDefaults as it is for good.
func RevisionOf(w v1alpha1.WorkloadSpec) Revision {
	normal := normalize(w)
	return Revision{Name: hash(canonicalJSON(&normal)), Workload: normal}
}

// Restarted returns the same workload with a name of its own for each value of the annotation that asks for new pods.
func (r Revision) Restarted(at string) Revision {
	r.Name = workloadName(r.Name) + restartMark + hash([]byte(at))[:restartLength]
	return r
}

// SameWorkload reports whether two names are of revisions that differ in nothing but when they were restarted.
func SameWorkload(a, b string) bool { return workloadName(a) == workloadName(b) }

// Names reports whether a user who writes name means a revision: it, or the workload of it, however often that was restarted.
func Names(name, revision string) bool {
	return name != "" && (name == revision || name == workloadName(revision))
}

func workloadName(revision string) string {
	name, _, _ := strings.Cut(revision, restartMark)
	return name
}

const (
	restartMark   = "-"
	restartLength = 5
)

// canonicalJSON is w, which must be in normal form, as JSON with sorted keys and no nulls. Going through a generic tree makes it
// independent of the order of the fields in their Go types.
func canonicalJSON(w *v1alpha1.WorkloadSpec) []byte {
	data, err := json.Marshal(w)
	if err != nil {
		panic(fmt.Sprintf("resources: a WorkloadSpec can't be marshalled: %v", err)) // It is plain data: only a mistake in its types does this.
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		panic(fmt.Sprintf("resources: json.Marshal wrote what can't be read: %v", err))
	}
	data, err = json.Marshal(withoutNulls(tree))
	if err != nil {
		panic(fmt.Sprintf("resources: decoded JSON can't be marshalled: %v", err))
	}
	return data
}

// withoutNulls removes null members from all objects in the tree: whether an absent list is written as null or left out is a
// matter of a tag in somebody else's type.
func withoutNulls(tree any) any {
	switch node := tree.(type) {
	case map[string]any:
		for key, value := range node {
			if value == nil {
				delete(node, key)
				continue
			}
			node[key] = withoutNulls(value)
		}
	case []any:
		for i := range node {
			node[i] = withoutNulls(node[i])
		}
	}
	return tree
}

// The alphabet has no vowels, so no words, and a name that begins with one of its letters is never taken for a number.
const (
	hashLetters  = "bcdfghjklmnpqrstvwxz"
	hashAlphabet = hashLetters + "2456789"
	hashLength   = 10
)

// hash is a short name for data: the first 64 bits of its SHA-256 in letters and digits, about 47 bits of them.
func hash(data []byte) string {
	sum := sha256.Sum256(data)
	rest := binary.BigEndian.Uint64(sum[:8])
	name := make([]byte, hashLength)
	name[0] = hashLetters[rest%uint64(len(hashLetters))]
	rest /= uint64(len(hashLetters))
	for i := 1; i < hashLength; i++ {
		name[i] = hashAlphabet[rest%uint64(len(hashAlphabet))]
		rest /= uint64(len(hashAlphabet))
	}
	return string(name)
}
