package route

import "bytes"

// lean is body with the value of a member of its outermost object, if that is an
// array, replaced by null: most of a push is its commits, which nobody reads here,
// and to leave them out saves the decoder most of its work. What is no JSON comes
// back as it is, or no better.
func lean(body []byte, member string) []byte {
	key := []byte(`"` + member + `"`)
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := textEnd(body, i)
			if depth == 1 && bytes.Equal(body[i:end], key) {
				if from := arrayStart(body, end); from > 0 {
					to := arrayEnd(body, from)
					return append(append(body[:from:from], "null"...), body[to:]...)
				}
			}
			i = end - 1
		}
	}
	return body
}

// textEnd is the index behind the text that begins at i.
func textEnd(body []byte, i int) int {
	for i++; i < len(body); i++ {
		n := bytes.IndexAny(body[i:], "\"\\")
		if n < 0 {
			break
		}
		if i += n; body[i] == '"' {
			return i + 1
		}
		i++ // what is escaped
	}
	return len(body)
}

// arrayStart is where the array begins that is the value of a key ending before i;
// 0 if there is none.
func arrayStart(body []byte, i int) int {
	colon := false
	for ; i < len(body); i++ {
		switch c := body[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == ':' && !colon:
			colon = true
		case c == '[' && colon:
			return i
		default:
			return 0
		}
	}
	return 0
}

// arrayEnd is the index behind the array that begins at i.
func arrayEnd(body []byte, i int) int {
	depth := 0
	for ; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			i = textEnd(body, i) - 1
		}
	}
	return len(body)
}
