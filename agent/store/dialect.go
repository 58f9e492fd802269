package store

import (
	"strconv"
	"strings"
	"sync"
)

// dialect says the statements, which are written for PostgreSQL with ? for their
// arguments, to one of the two databases.
type dialect struct {
	postgres bool
	said     sync.Map // statement as written -> as said
}

// toSQLite holds what SQLite calls by another name, and what it does not need:
// its one writer makes row locks pointless.
var toSQLite = strings.NewReplacer(
	"LEAST(", "min(",
	"GREATEST(", "max(",
	" FOR UPDATE SKIP LOCKED", "",
	" FOR UPDATE", "",
)

// toPostgres holds what PostgreSQL needs no word for: it counts its rows.
var toPostgres = strings.NewReplacer(" INDEXED BY delivery_open", "")

// say is query as the database wants it. Statements are constants but for the
// length of their lists, so what was said is remembered.
func (d *dialect) say(query string) string {
	if s, ok := d.said.Load(query); ok {
		return s.(string)
	}
	s := toSQLite.Replace(query)
	if d.postgres {
		s = numbered(toPostgres.Replace(query))
	}
	d.said.Store(query, s)
	return s
}

// numbered is query with $1, $2, … for its question marks. A question mark
// inside quotes does not occur in our statements.
func numbered(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// marks is "?, ?, ?" with n marks.
func marks(n int) string {
	return strings.TrimSuffix(strings.Repeat("?, ", n), ", ")
}
