package approver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
)

// fakeAPI remembers what it was asked for, and answers with its error.
type fakeAPI struct {
	approved []*certificatesv1.CertificateSigningRequest
	told     []*eventsv1.Event
	err      error
}

func (f *fakeAPI) Approve(_ context.Context, request *certificatesv1.CertificateSigningRequest) error {
	f.approved = append(f.approved, request)
	return f.err
}

func (f *fakeAPI) Tell(_ context.Context, event *eventsv1.Event) error {
	f.told = append(f.told, event)
	return f.err
}

func newApprover() (*Approver, *fakeAPI) {
	api := &fakeAPI{}
	now := func() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) }
	return &Approver{API: api, Nodes: known, Now: now, Instance: "dev-control-plane"}, api
}

func TestARightRequestIsApprovedAndNothingIsTold(t *testing.T) {
	a, api := newApprover()
	request := newWish(t).request(t)
	outcome, err := a.Handle(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, Outcome{Approved: true}, outcome)
	require.Empty(t, api.told)
	require.Len(t, api.approved, 1)
	require.Equal(t, request.Spec, api.approved[0].Spec)
	require.Len(t, api.approved[0].Status.Conditions, 1)
	require.Equal(t, certificatesv1.CertificateApproved, api.approved[0].Status.Conditions[0].Type)
	require.Equal(t, corev1.ConditionTrue, api.approved[0].Status.Conditions[0].Status)
	require.Empty(t, request.Status.Conditions, "what is shared with others stays as it was")
}

func TestARogueRequestIsLeftAsItIsAndAnEventOfTheSameNameSaysWhyEachTime(t *testing.T) {
	a, api := newApprover()
	w := newWish(t)
	w.template.DNSNames = []string{"kubernetes.default.svc"}
	request := w.request(t)
	for range 2 {
		outcome, err := a.Handle(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, ForeignNames, outcome.Refusal.Reason)
	}
	require.Empty(t, api.approved)
	require.Len(t, api.told, 2)
	event := api.told[0]
	require.Equal(t, event, api.told[1])
	require.Equal(t, "default", event.Namespace)
	require.Equal(t, "ForeignNames", event.Reason)
	require.Equal(t, "Warning", event.Type)
	require.Contains(t, event.Note, `"kubernetes.default.svc", which is not the name of node dev-worker`)
	require.Equal(t, request.UID, event.Regarding.UID)
	require.Equal(t, request.Name, event.Regarding.Name)
}

func TestAnotherReasonIsAnotherEvent(t *testing.T) {
	a, api := newApprover()
	w := newWish(t)
	w.spec.Groups = nil
	request := w.request(t)
	_, err := a.Handle(t.Context(), request)
	require.NoError(t, err)
	a.Nodes = nil
	request.Spec.Groups = []string{"system:nodes"}
	_, err = a.Handle(t.Context(), request)
	require.NoError(t, err)
	require.NotEqual(t, api.told[0].Name, api.told[1].Name)
}

func TestANoteIsNeverLongerThanTheAPITakes(t *testing.T) {
	a, api := newApprover()
	w := newWish(t)
	w.template.DNSNames = []string{strings.Repeat("a", 3000)}
	_, err := a.Handle(t.Context(), w.request(t))
	require.NoError(t, err)
	require.Len(t, api.told[0].Note, noteLimit)
}

func TestWhatFailsIsToldToTheCallerToTryAgain(t *testing.T) {
	a, api := newApprover()
	api.err = errors.New("the API is away")
	w := newWish(t)
	_, err := a.Handle(t.Context(), w.request(t))
	require.ErrorIs(t, err, api.err)
	w.spec.Groups = nil
	_, err = a.Handle(t.Context(), w.request(t))
	require.ErrorIs(t, err, api.err)
	require.ErrorContains(t, err, "WrongGroups")
}
