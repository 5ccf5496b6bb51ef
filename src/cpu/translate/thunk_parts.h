// The larger thunks, each made on its own. What they do stands in thunks.h.
#pragma once

#include "cpu/translate/thunks.h"

namespace vireo::cpu::translate {

// thunks_pages.cpp
/// Thunks::bounce, or part_write. Returns its second instruction, for those who have done the first.
const u8* make_bounce(Emitter& e, const Layout& layout, unsigned view, bool write);
/// Thunks::write_parts.
void make_write_parts(Emitter& e, const Layout& layout);
/// Thunks::refill. `crossing`: where accesses to two pages go, from make_bounce; nullptr: back behind the call.
void make_refill(Emitter& e, const Layout& layout, unsigned view, bool write, bool group, const u8* crossing);
/// Thunks::part.
void make_part(Emitter& e, const Layout& layout);

// thunks_strings.cpp, thunks_cross.cpp; `helper` calls the helper whose index is in Context::argument
/// Thunks::strings. `shift`: binary logarithm of the size of an element.
void make_strings(Emitter& e, const Layout& layout, bool moves, u8 shift, const u8* helper);
/// Thunks::cross: one way from one mode to another.
void make_cross(Emitter& e, const Layout& layout, Crossing crossing, unsigned mode, const u8* helper);

}  // namespace vireo::cpu::translate
