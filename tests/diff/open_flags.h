// Status flags that an engine may leave as it likes where the manuals call them undefined.
#pragma once

#include <optional>

#include "snippet.h"

namespace vireo::diff {

/// The flags that may be anything when the snippet has run through: left undefined by its instructions and not
/// overwritten since. The translator takes the manuals at their word: what is overwritten, or becomes undefined, before
/// anybody reads it need not be kept, while processors often pass it through. Empty: an instruction reads such a flag,
/// and everything after it is open.
std::optional<u64> open_flags(const Snippet& snippet);

}  // namespace vireo::diff
