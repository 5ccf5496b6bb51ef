// Refcounts written anew, from what is referred to.
#pragma once

#include "block/qcow2/reference_counter.h"

namespace vireo::block::qcow2 {

/// `references` is what the header, the L1 and L2 tables and the snapshots refer to; old refcount structures that it
/// counts as well become free. The image is marked clean.
Io<> rebuild_refcounts(Tables& tables, const ReferenceCounter& references);
/// The flags that allow writing in place say what the refcounts do.
Io<> fix_flags(Tables& tables);

}  // namespace vireo::block::qcow2
