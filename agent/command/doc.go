// Package command reads the commands that people write in notes of merge
// requests.
package command
