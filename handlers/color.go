package handlers

import "math"

// linear is an sRGB channel (0-255) as linear light (0-1), by WCAG 2.2.
func linear(channel uint64) float64 {
	v := float64(channel) / 255
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}
