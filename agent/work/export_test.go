package work

import "fmt"

// ClaimStatements are those of a claim on SQLite, whose cost must not grow with
// the table.
func ClaimStatements() map[string]string {
	return map[string]string{
		"peek": peekSQL, "pools": poolsSQL, "promote": promoteSQL, "rescue": rescueSQL, "position": positionSQL,
		"claim": fmt.Sprintf(claimSQL, firstSQLite),
	}
}
