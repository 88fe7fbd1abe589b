package aftermath

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestErrorsThatNobodyExplainsAreFound(t *testing.T) {
	log := `I1129 01:00:00.000000       1 controller.go:1] nothing failed
E1129 01:00:01.000000       1 status.go:1] "etcd can't be reached"
E1129 01:00:02.000000       1 authentication.go:75] "Unable to authenticate the request" err="invalid bearer token"
W1129 01:00:03.000000       1 dispatcher.go:1] E is no level here
F1129 01:00:04.000000       1 server.go:1] no port
`
	assert.Equal(t, []string{
		`E1129 01:00:01.000000       1 status.go:1] "etcd can't be reached"`,
		`F1129 01:00:04.000000       1 server.go:1] no port`,
	}, unexpected(log))
}
