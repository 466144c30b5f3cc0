package podmetrics

import (
	"cmp"
	"slices"
	"strings"
)

// suggestions is how many names an Error lists.
const suggestions = 3

// nearest returns the names, one a line, that a person may have meant by another, the likeliest first.
func nearest(wanted, names string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var candidates []candidate
	for name := range strings.Lines(names) {
		name = strings.TrimSuffix(name, "\n")
		if len(name) > 255 {
			continue
		}
		distance := editDistance(wanted, name)
		if strings.Contains(name, wanted) || strings.Contains(wanted, name) {
			distance /= 4 // a suffix or a prefix is what is most often left out
		}
		candidates = append(candidates, candidate{name, distance})
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var likeliest []string
	for _, c := range candidates[:min(suggestions, len(candidates))] {
		likeliest = append(likeliest, c.name)
	}
	return likeliest
}

// editDistance returns how many letters have to be put in, taken out or changed to make one name the other.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
