// What libtorch throws must not cross the C interface.

#pragma once

#include <c10/util/Exception.h>

#include <cstring>
#include <exception>

namespace supernaut {

/// Runs `work`; what it throws becomes a message for the caller to free.
template <class Work>
char* caught(Work work) {
    try {
        work();
        return nullptr;
    } catch (const c10::Error& error) {
        return strdup(error.what_without_backtrace());
    } catch (const std::exception& error) {
        return strdup(error.what());
    }
}

}  // namespace supernaut
