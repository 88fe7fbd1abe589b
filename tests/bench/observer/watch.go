package observer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// retryPause is short, because what is measured is the API and not a client's patience.
const retryPause = 100 * time.Millisecond

// watch watches one object, and begins again where it was each time that the watch ends.
type watch struct {
	client *http.Client
	url    string // of the collection
	object string
	thing  string
	keep   func(Moment)

	version string // to begin from; empty for a list first
	number  int    // that was heard last
	listed  bool   // whether it ever was
}

// errGone says that the apiserver does not know any more, or not yet, what happened since a version.
var errGone = errors.New("410 Gone")

func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		began, err := w.turn(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errGone) {
			w.version = ""
		}
		if began {
			w.note(Ended, err.Error())
			continue
		}
		w.note(Refused, err.Error())
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
		}
	}
}

func (w *watch) note(what What, why string) {
	w.keep(Moment{Thing: w.thing, At: time.Now(), What: what, Why: why})
}

// object is as much as is needed here of a ConfigMap, a list of them, and a Status.
type object struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Data    map[string]string `json:"data"`
	Items   []object          `json:"items"`
	Code    int               `json:"code"`
	Message string            `json:"message"`
}

type event struct {
	Type   string `json:"type"`
	Object object `json:"object"`
}

// turn watches once, and says why that ended, and whether it ever began.
func (w *watch) turn(ctx context.Context) (began bool, err error) {
	if w.version == "" {
		if err := w.list(ctx); err != nil {
			return false, err
		}
	}
	response, err := w.get(ctx, url.Values{
		"watch": {"true"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {w.version},
	})
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	w.note(Began, "")
	decoder := json.NewDecoder(response.Body)
	for {
		var e event
		if err := decoder.Decode(&e); err != nil {
			return true, err
		}
		if e.Type == "ERROR" {
			err := errors.New(e.Object.Message)
			if e.Object.Code == http.StatusGone {
				err = fmt.Errorf("%w: %s", errGone, e.Object.Message)
			}
			return true, err
		}
		w.version = e.Object.Metadata.ResourceVersion
		if e.Type != "BOOKMARK" {
			w.hear(e.Object)
		}
	}
}

// hear compares a change with the one before it.
func (w *watch) hear(changed object) {
	w.note(Heard, "")
	number := changed.number()
	switch {
	case number <= w.number:
		w.note(Repeated, fmt.Sprintf("%d after %d", number, w.number))
		return
	case number > w.number+1:
		w.note(Lost, fmt.Sprintf("from %d to %d", w.number+1, number-1))
	}
	w.number = number
}

func (o object) number() int {
	number, err := strconv.Atoi(o.Data[NumberKey])
	if err != nil {
		return 0
	}
	return number
}

// list finds out how things stand, which is no news of what happened meanwhile.
func (w *watch) list(ctx context.Context) error {
	response, err := w.get(ctx, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var list object
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return err
	}
	if len(list.Items) != 1 {
		return fmt.Errorf("there are %d of %s", len(list.Items), w.object)
	}
	w.version, w.number = list.Metadata.ResourceVersion, list.Items[0].number()
	if w.listed {
		w.note(Relisted, "")
	}
	w.listed = true
	return nil
}

func (w *watch) get(ctx context.Context, query url.Values) (*http.Response, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("fieldSelector", "metadata.name="+w.object)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := w.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusGone {
		return nil, errGone
	}
	var status object
	_ = json.NewDecoder(response.Body).Decode(&status) // where there is none, the number says enough
	return nil, fmt.Errorf("%s: %s", response.Status, status.Message)
}
