package approver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Name is what the approver is called where it leaves its mark.
const Name = "kubecomm-kubelet-serving-approver"

// API is what an approver does in a cluster. Approve is given a request with the condition that approves it. Tell creates
// an event; that it is there already is no error.
type API interface {
	Approve(ctx context.Context, request *certificatesv1.CertificateSigningRequest) error
	Tell(ctx context.Context, event *eventsv1.Event) error
}

// Approver approves requests, or says why not.
type Approver struct {
	API   API
	Nodes Nodes
	Now   func() time.Time
	// Instance tells approvers on several control planes apart.
	Instance string
}

// Outcome is what became of a request.
type Outcome struct {
	Approved bool
	Refusal  *Refusal // why it was left as it is; nil if it was approved, or is none of an approver's
}

// Handle judges a request and approves it, or leaves it as it is and creates an event: denied, it could not be approved
// any more once a node that joined is known. It can be called again, and by several approvers: what is approved stays so,
// and an event is made once for each request and reason, because its name says which.
func (a *Approver) Handle(ctx context.Context, request *certificatesv1.CertificateSigningRequest) (Outcome, error) {
	if !Concerns(request) {
		return Outcome{}, nil
	}
	err := Judge(request, a.Nodes)
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		if err := a.API.Tell(ctx, a.event(request, refusal)); err != nil {
			return Outcome{}, fmt.Errorf("creating the event of request %s, which was left as it is (%w): %w", request.Name, refusal, err)
		}
		return Outcome{Refusal: refusal}, nil
	}
	approved := request.DeepCopy()
	approved.Status.Conditions = append(approved.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Kubecomm",
		Message: "Its node has every name and address that it asks for",
	})
	if err := a.API.Approve(ctx, approved); err != nil {
		return Outcome{}, fmt.Errorf("approving request %s: %w", request.Name, err)
	}
	return Outcome{Approved: true}, nil
}

// noteLimit is how long the API lets an event's note be (Kubernetes v1.37.1, pkg/apis/core/validation/events.go).
const noteLimit = 1024

func (a *Approver) event(request *certificatesv1.CertificateSigningRequest, refusal *Refusal) *eventsv1.Event {
	note := "Not approved by kubecomm: " + refusal.Err.Error()
	if len(note) > noteLimit {
		note = strings.ToValidUTF8(note[:noteLimit-3], "") + "..."
	}
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			// A request's own name may be used again, and need not be one that an event may have.
			Name:      fmt.Sprintf("%s.%s.%s", Name, request.UID, strings.ToLower(string(refusal.Reason))),
			Namespace: metav1.NamespaceDefault, // where those of what is in no namespace are
		},
		EventTime: metav1.NewMicroTime(a.Now()), ReportingController: Name, ReportingInstance: a.Instance,
		Type: corev1.EventTypeWarning, Reason: string(refusal.Reason), Action: "Approve", Note: note,
		Regarding: corev1.ObjectReference{
			APIVersion: certificatesv1.SchemeGroupVersion.String(), Kind: "CertificateSigningRequest",
			Name: request.Name, UID: request.UID,
		},
	}
}
