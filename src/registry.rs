//! How a part of the crate lists what it offers: one row per kind.

/// An enum of settings, told apart by their key `kind` in a recipe. Each row has the kind's name there, its file, which becomes a
/// module, and its type; what all kinds have in common is the trait that the enum derefs to (mutably for those that read files in
/// their place).
macro_rules! registry {
    (
        $(#[$about:meta])*
        pub enum $name:ident: $behaviour:ident {
            $($(#[$doc:meta])* $kind:literal => $file:ident :: $settings:ident),+ $(,)?
        }
    ) => {
        $(mod $file; pub use $file::$settings;)+

        /// The names of the kinds.
        pub const KINDS: &[&str] = &[$($kind),+];

        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, ::serde::Deserialize, ::serde::Serialize)]
        #[serde(tag = "kind")]
        pub enum $name { $($(#[$doc])* #[serde(rename = $kind)] $settings($settings)),+ }

        impl ::std::ops::Deref for $name {
            type Target = dyn $behaviour;
            fn deref(&self) -> &Self::Target {
                match self { $(Self::$settings(settings) => settings),+ }
            }
        }

        impl ::std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self { $(Self::$settings(settings) => settings),+ }
            }
        }
    };
}
