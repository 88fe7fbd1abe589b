package faults

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

// The folders of a control plane that an apply writes to.
const (
	stateFolder = "/etc/kubernetes/kubecomm" // what it needs to come back
	pkiFolder   = "/etc/kubernetes/pki"
)

const noSpace = "No space left on device"

// diskFull fills the folder that the journal is in before an apply begins.
func (s *suite) diskFull(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	disk := s.mountSmallDisk(ctx, t, stateFolder)
	disk.fill(ctx, t)
	_, err := apply.Apply(ctx, s.target(), apply.Options{Settings: everything(), Now: time.Now})
	require.EqualError(t, err, "writing the journal /etc/kubernetes/kubecomm/journal on node "+s.controlPlane().Name()+
		" failed; is its disk full?")
	requireOldServer()
	require.Equal(t, s.stock, s.readFiles(ctx, t))
	disk.unmount(ctx, t)
	s.repair(ctx, t)
	requireAllAnswered(t, requests)
}

// diskFills fills the same folder when a swap wants to write there.
func (s *suite) diskFills(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	disk := s.mountSmallDisk(ctx, t, stateFolder)
	failure := s.applyWith(ctx, t, begins(apply.ReplaceAPIServer, staging), func() { disk.fill(ctx, t) })
	assert.Equal(t, staging, failure.Phase)
	require.ErrorContains(t, failure.Err, "writing /etc/kubernetes/kubecomm/swap/")
	require.ErrorContains(t, failure.Err, noSpace)
	require.NoError(t, failure.UndoErr)
	assert.Len(t, failure.Undone, failure.Number, "every step up to the one that failed")
	requireOldServer()
	require.Equal(t, s.stock, s.readFiles(ctx, t))
	disk.unmount(ctx, t)
	s.repair(ctx, t)
	requireAllAnswered(t, requests)
}

// pkiDiskFull has no room for the first file that an apply writes, the key of its CA.
func (s *suite) pkiDiskFull(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	disk := s.mountSmallDisk(ctx, t, pkiFolder)
	disk.fill(ctx, t)
	failure := s.applyWith(ctx, t, begins(apply.CreateIssuer, "write the CA and its key"), func() {})
	assert.Equal(t, apply.CreateIssuer, failure.Step.Kind)
	require.ErrorContains(t, failure.Err, "writing /etc/kubernetes/pki/kubecomm/")
	require.ErrorContains(t, failure.Err, noSpace)
	require.NoError(t, failure.UndoErr)
	requireOldServer()
	s.requireStock(ctx, t)
	disk.unmount(ctx, t)
	s.repair(ctx, t)
	requireAllAnswered(t, requests)
}

// pkiDiskFills leaves no room for the apiserver's own client certificate. What it had is still there.
func (s *suite) pkiDiskFills(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	const pair = `cd "$1" && sha256sum apiserver-kubelet-client.crt apiserver-kubelet-client.key`
	before := run(ctx, t, s.controlPlane(), pair, pkiFolder)
	disk := s.mountSmallDisk(ctx, t, pkiFolder)
	const installing = "put the key and the certificate in place"
	failure := s.applyWith(ctx, t, begins(apply.IssueKubeletClient, installing), func() { disk.fill(ctx, t) })
	assert.Equal(t, installing, failure.Phase)
	require.ErrorContains(t, failure.Err, "replacing /etc/kubernetes/pki/apiserver-kubelet-client.key")
	require.ErrorContains(t, failure.Err, noSpace)
	require.NoError(t, failure.UndoErr)
	assert.Len(t, failure.Undone, failure.Number)
	requireOldServer()
	assert.Equal(t, before, run(ctx, t, s.controlPlane(), pair, pkiFolder))
	s.requireStock(ctx, t)
	disk.unmount(ctx, t)
	s.repair(ctx, t)
	requireAllAnswered(t, requests)
}

// smallDisk is a disk of 1 MiB that a folder of the control plane is on.
type smallDisk struct {
	suite  *suite
	folder string
}

// mountSmallDisk takes along what is in the folder. Containers that run keep the folder that they were started with.
func (s *suite) mountSmallDisk(ctx context.Context, t *testing.T, folder string) smallDisk {
	t.Helper()
	run(ctx, t, s.controlPlane(), `set -e
[ -d "$1" ] || mkdir -m 700 "$1"
disk=$(mktemp -d)
mount -t tmpfs -o "size=1m,mode=$(stat --format %a "$1")" tmpfs "$disk"
cp -a "$1/." "$disk"
mount --bind "$disk" "$1"
umount "$disk"
rmdir "$disk"`, folder)
	return smallDisk{s, folder}
}

func (d smallDisk) fill(ctx context.Context, t *testing.T) {
	t.Helper()
	said := run(ctx, t, d.suite.controlPlane(), `! dd if=/dev/zero of="$1/filler" bs=4k 2>&1`, d.folder)
	require.Contains(t, said, noSpace)
}

// unmount leaves in the folder what was written to the disk.
func (d smallDisk) unmount(ctx context.Context, t *testing.T) {
	t.Helper()
	run(ctx, t, d.suite.controlPlane(), `set -e
rm -f "$1/filler"
disk=$(mktemp -d)
mount --bind "$1" "$disk"
umount "$1"
cp -a "$disk/." "$1"
umount "$disk"
rmdir "$disk"
rmdir --ignore-fail-on-non-empty "$1"`, d.folder)
}
