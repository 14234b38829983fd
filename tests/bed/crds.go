//go:build tools

// Package bed keeps istio.io/api in go.mod: its module carries the CRDs that the bed installs.
package bed

import _ "istio.io/api/label"
