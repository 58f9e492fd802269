// Package config reads what an agent is told, from remora.yaml or from the
// environment alone, and gathers it into the Configs of the packages below.
//
// Its rules:
//
//   - Everything that is wrong is told at once, each fault with file, line and
//     column, or with the variable that it came from. What is strange but works
//     is a [Warning].
//   - The keys of a section are the names of the variables that the component
//     reads, without what they have in common: DIREKTIV_NAMESPACE is the key
//     namespace of a target of kind direktiv. Both come from one struct tag.
//   - ${NAME} in a text stands for a variable; one that is not set or empty is a
//     fault, and there is no other form. $${ is a plain ${.
//   - A secret is the value of a variable, or stands in a file: token_file beside
//     token. In the file itself it is a warning. Paths are taken from the folder
//     of the file.
//   - Nothing set, null and an empty text are the same.
//   - A variable beats the file, and the file beats the default. In lists (the
//     instances, tokens, targets, routes and schedules) there is no telling which
//     item a variable means; they come from the file alone.
//   - YAML anchors, aliases and merges (<<) work. Keys at the top that begin with
//     x- are passed over, to hold anchors.
package config
