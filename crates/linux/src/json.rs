//! Reading JSON as Go programs write it.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the type's default: an empty list or map of Go is written so.
pub fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
