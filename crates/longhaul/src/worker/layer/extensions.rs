use std::any::{Any, TypeId};
use std::fmt;

/// Values by their type, one of each.
#[derive(Default)]
pub struct Extensions {
    /// Few, so that a look through them is the quickest; none at all take no memory.
    values: Vec<(TypeId, Box<dyn Any + Send + Sync>)>,
}

impl Extensions {
    /// Puts a value in the place of its type; returns the one that was there.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let earlier = self.remove();
        self.values.push((TypeId::of::<T>(), Box::new(value)));
        earlier
    }

    /// The value of a type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.values.iter().find(|(of, _)| *of == TypeId::of::<T>())?.1.downcast_ref()
    }

    /// Takes the value of a type out.
    pub fn remove<T: Send + Sync + 'static>(&mut self) -> Option<T> {
        let at = self.values.iter().position(|(of, _)| *of == TypeId::of::<T>())?;
        self.values.swap_remove(at).1.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("len", &self.values.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_value_of_a_type_takes_the_place_of_the_first_and_leaves_other_types_alone() {
        let mut extensions = Extensions::default();
        assert_eq!(extensions.get::<u8>(), None);
        assert_eq!(extensions.insert(1_u8), None);
        assert_eq!(extensions.insert("text"), None);
        assert_eq!(extensions.insert(2_u8), Some(1));
        assert_eq!((extensions.get(), extensions.get()), (Some(&2_u8), Some(&"text")));
        assert_eq!(extensions.remove::<u8>(), Some(2));
        assert_eq!((extensions.get::<u8>(), extensions.get()), (None, Some(&"text")));
    }
}
