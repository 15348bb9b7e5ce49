//! Which films are of one patient.

use std::collections::HashMap;

use crate::data::dataset::Row;

use super::duplicates::Pair;
use super::groups::Groups;

/// Joins the films of each patient, gives each patient one id, and returns the films of each patient. A film without a
/// patient is one by itself. Patients whose films are copies of one film are one patient.
pub fn join(rows: &mut [Row], copies: &[Pair]) -> Vec<Vec<usize>> {
    let mut patients = Groups::new(rows.len());
    copies.iter().for_each(|pair| patients.join(pair.first, pair.second));
    let mut first_of: HashMap<String, usize> = HashMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| !row.patient_id.is_empty()) {
        let first = *first_of.entry(row.patient_id.clone()).or_insert(index);
        patients.join(first, index);
    }
    let patients = patients.lists();
    for films in &patients {
        let known = films.iter().map(|&film| &rows[film].patient_id).find(|id| !id.is_empty());
        let Some(id) = known.cloned() else { continue };
        films.iter().for_each(|&film| rows[film].patient_id.clone_from(&id));
    }
    patients
}
