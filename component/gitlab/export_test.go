package gitlab

import "time"

// Hasten makes the pause after a 409 as short as d.
func (c *Client) Hasten(d time.Duration) { c.pause = d }

// Marker is the marker of a body.
var Marker = marker
