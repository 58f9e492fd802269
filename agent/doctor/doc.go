// Package doctor looks at an installation from all sides and says what is wrong
// and how to mend it.
package doctor
