/// The cosine of the angle between a query and a stored vector; what points the other way counts as unlike.
pub(crate) fn similarity(query: &[f32], stored: &[u8]) -> f64 {
    let stored =
        stored.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let product: f32 = query.iter().zip(stored).map(|(a, b)| a * b).sum();
    f64::from(product.clamp(0.0, 1.0))
}

/// A vector as it is stored: of length 1, so that a product is a cosine.
pub(crate) fn scaled(vector: &[f32]) -> Vec<u8> {
    unit(vector).into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Scaled to length 1.
pub(crate) fn unit(vector: &[f32]) -> Vec<f32> {
    // In double precision: the squares of large numbers would not fit.
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    vector.iter().map(|number| (f64::from(*number) * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_is_the_angle_and_not_the_length() {
        let near = |a: &[f32], b: &[f32]| similarity(&unit(a), &scaled(b));
        assert!((near(&[3.0, 4.0], &[300.0, 400.0]) - 1.0).abs() < 1e-6);
        assert!((near(&[1.0, 0.0], &[1.0, 1.0]) - 0.5_f64.sqrt()).abs() < 1e-6);
        assert_eq!(near(&[1.0, 0.0], &[-1.0, 0.0]), 0.0);
        assert_eq!(near(&[1.0, 0.0], &[0.0, 0.0]), 0.0);
        assert!((near(&[3e38, 3e38], &[3e38, 3e38]) - 1.0).abs() < 1e-6);
    }
}
