//! The one error type. Each message is one sentence that names the field, what was found and what would do.

use std::path::{Path, PathBuf};

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, sorted by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument, a recipe value or a piece of data is not usable: correct it and call again.
    #[error("{field}: found {found}, wanted {wanted}")]
    Invalid {
        /// Dotted path of the value, such as `train.epochs`, or the name of the file or argument.
        field: String,
        /// What stood there.
        found: String,
        /// What would do.
        wanted: String,
    },
    /// The call does not fit what the object is doing now.
    #[error("{0}")]
    State(String),
    /// A name that is not known: an architecture, a metric, a file.
    #[error("{what} not found: {found}; wanted {wanted}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// The name asked for.
        found: String,
        /// The names there are.
        wanted: String,
    },
    /// Legal, but not built here.
    #[error("{0}")]
    Unsupported(String),
    /// The device asked for is not there. Nothing falls back to another.
    #[error("device: found {found}, wanted {wanted}")]
    DeviceUnavailable {
        /// The device asked for.
        found: String,
        /// The devices there are.
        wanted: String,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A file is damaged or is not what its name says.
    #[error("{}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        what: String,
    },
    /// A file or library of another version, space or recipe.
    #[error("{what}: found {found}, wanted {wanted}")]
    Version {
        /// What is compared.
        what: String,
        /// What was found.
        found: String,
        /// What would do.
        wanted: String,
    },
    /// No architecture meets the limits.
    #[error("search.limits.{metric}: no architecture has {metric} {wanted}; the nearest reachable is {nearest}")]
    Constraint {
        /// The limited figure.
        metric: String,
        /// The limit as it was asked for, such as `<= 1000`.
        wanted: String,
        /// The nearest value an architecture has, and which one.
        nearest: String,
    },
    /// A loss or a measure is not a number.
    #[error("{0}")]
    Numeric(String),
    /// An exported file does not compute what the network computes.
    #[error("{0}")]
    VerifyFailed(String),
    /// A shared library is missing or does not load.
    #[error("{library}: not found or not loadable ({reason}); looked in {looked}")]
    Library {
        /// Which library.
        library: &'static str,
        /// What the loader said.
        reason: String,
        /// Where it was looked for.
        looked: String,
    },
    /// Somebody asked to stop. Not a failure.
    #[error("cancelled")]
    Cancelled,
    /// Another job holds the object.
    #[error("{0}")]
    Busy(String),
    /// A bug of this library.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl Error {
    /// A value that is not usable, by its path.
    pub fn invalid(field: impl Into<String>, found: impl ToString, wanted: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), found: found.to_string(), wanted: wanted.into() }
    }

    /// A refusal of the operating system, with the path it concerns.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    /// A damaged or foreign file.
    pub fn corrupt(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.as_ref().to_owned(), what: what.into() }
    }
}

/// Refuses `value` below `least`.
pub(crate) fn at_least(field: &str, value: f64, least: f64) -> Result<()> {
    if value >= least { Ok(()) } else { Err(Error::invalid(field, value, format!("at least {least}"))) }
}

/// Refuses `value` outside `least` to `most`.
pub(crate) fn within<T: PartialOrd + Copy + std::fmt::Display>(field: &str, value: T, least: T, most: T) -> Result<()> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(Error::invalid(field, value, format!("{least}…{most}"))) }
}
