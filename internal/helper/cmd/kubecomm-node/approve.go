package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
)

const (
	// resync is how often requests that wait are judged again. The API forgets events after an hour (Kubernetes v1.37.1,
	// staging/src/k8s.io/apiserver/pkg/server/options, --event-ttl), and a request that waits should not be without one.
	resync = time.Hour
	// quick and slow bound how long a request waits to be tried again after an error.
	quick, slow = 100 * time.Millisecond, 30 * time.Second
)

// approve judges every request of a kubelet for a serving certificate. Several control planes do so at the same time, and
// need not agree on who does: what one has approved, the others find approved.
func approve(ctx context.Context, log *slog.Logger, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	config, err := approver.ParseConfig(data)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	account := account{config.Server, config.ServerName, config.Namespace, config.ServiceAccount}
	client, err := newClient(account, filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), caCredential),
		certificatesv1.AddToScheme, eventsv1.AddToScheme)
	if err != nil {
		return err
	}
	identity, err := newIdentity(client, account, log)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	client.unknown = func(err error) { end(unknownToken(err)) }
	worker := &worker{
		approver: &approver.Approver{API: client, Nodes: config.Nodes, Now: time.Now, Instance: config.Instance},
		log:      log,
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](quick, slow)),
	}
	go func() { end(identity.keepFresh(ctx)) }()
	worker.run(ctx, client.listWatch(), func() {
		log.Info("approving what kubelets ask for", "version", version, "nodes", len(config.Nodes))
		notifyReady(ctx, log)
	})
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// worker handles requests one after the other.
type worker struct {
	approver *approver.Approver
	log      *slog.Logger
	queue    workqueue.TypedRateLimitingInterface[string]
	store    cache.Store
}

func (w *worker) run(ctx context.Context, requests cache.ListerWatcher, ready func()) {
	add := func(object any) {
		if request, ok := object.(*certificatesv1.CertificateSigningRequest); ok && approver.Concerns(request) {
			w.queue.Add(request.Name)
		}
	}
	var controller cache.Controller
	w.store, controller = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: requests, ObjectType: &certificatesv1.CertificateSigningRequest{}, ResyncPeriod: resync,
		Handler: cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, next any) { add(next) }},
	})
	go func() {
		<-ctx.Done()
		w.queue.ShutDown()
	}()
	go controller.RunWithContext(ctx)
	if cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		ready()
	}
	for w.next(ctx) {
	}
}

func (w *worker) next(ctx context.Context) bool {
	name, ended := w.queue.Get()
	if ended {
		return false
	}
	defer w.queue.Done(name)
	object, there, err := w.store.GetByKey(name)
	request, ok := object.(*certificatesv1.CertificateSigningRequest)
	if err != nil || !there || !ok {
		w.queue.Forget(name)
		return true
	}
	outcome, err := w.approver.Handle(ctx, request)
	switch {
	case apierrors.IsNotFound(err): // it was taken back
	case apierrors.IsConflict(err): // another approver was quicker, or it was changed: what is new comes by the watch
		w.queue.AddRateLimited(name)
		return true
	case err != nil:
		w.log.Error(err.Error())
		w.queue.AddRateLimited(name)
		return true
	case outcome.Approved:
		w.log.Info("approved", "request", name, "user", request.Spec.Username)
	case outcome.Refusal != nil:
		w.log.Warn("left as it is", "request", name, "user", request.Spec.Username, "why", outcome.Refusal.Error())
	}
	w.queue.Forget(name)
	return true
}
