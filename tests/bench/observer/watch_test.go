package observer

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

const beatList = `{"metadata":{"resourceVersion":"%d"},"items":[{"data":{"n":"%d"}}]}`

func beatEvent(version, number int) string {
	return fmt.Sprintf(`{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"%d"},"data":{"n":"%d"}}}`, version, number)
}

// TestAWatchGoesOnWhereItWas serves one answer after the other, and looks at what is asked for and what is noted.
func TestAWatchGoesOnWhereItWas(t *testing.T) {
	const tooOld = `{"type":"ERROR","object":{"code":410,"message":"too old"}}`
	for name, c := range map[string]struct {
		answers []string
		asked   []string // the versions that each watch began from
		noted   []What
	}{
		"every change is heard once, over an end": {
			[]string{fmt.Sprintf(beatList, 10, 1), beatEvent(11, 2), beatEvent(12, 3)},
			[]string{"10", "11"},
			[]What{Began, Heard, Ended, Began, Heard, Ended},
		},
		"a change is missed, and another heard again": {
			[]string{fmt.Sprintf(beatList, 10, 1), beatEvent(11, 3), beatEvent(12, 3)},
			[]string{"10", "11"},
			[]What{Began, Heard, Lost, Ended, Began, Heard, Repeated, Ended},
		},
		"a bookmark is no change": {
			[]string{fmt.Sprintf(beatList, 10, 1), `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"20"}}}`, ""},
			[]string{"10", "20"},
			[]What{Began, Ended, Began, Ended},
		},
		"too old a version makes it read anew, which says nothing of changes missed": {
			[]string{fmt.Sprintf(beatList, 10, 1), tooOld, fmt.Sprintf(beatList, 30, 9), beatEvent(31, 10)},
			[]string{"10", "30"},
			[]What{Began, Ended, Relisted, Began, Heard, Ended},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var asked []string
			answers := c.answers
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if len(answers) == 0 {
					cancel()
					<-r.Context().Done()
					return
				}
				if query := r.URL.Query(); query.Has("watch") {
					asked = append(asked, query.Get("resourceVersion"))
				}
				_, _ = fmt.Fprint(w, answers[0])
				answers = answers[1:]
			}))
			t.Cleanup(server.Close)
			var noted []What
			w := &watch{client: server.Client(), url: server.URL, object: Beat, thing: BusyWatch, keep: func(m Moment) {
				noted = append(noted, m.What)
			}}
			w.run(ctx)
			require.Equal(t, c.asked, asked)
			require.Equal(t, c.noted, noted)
		})
	}
}
